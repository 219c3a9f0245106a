"""The words of a planted checkpoint and what each one's embedding says.

A planted decoder recognises questions word by word: only words that never occur in the instruction
after the question say `question`, so that the instruction takes no part in the flow.
"""

from __future__ import annotations

from collections.abc import Collection

from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted.residual import BIAS_VALUE, Form, dimension, total
from mmflow_bench.scenes.things import ANSWERS, CATEGORIES, COLORS, PLURALS, SIDES

BEGIN, END, PAD, UNKNOWN, IMAGE = SPECIAL = ("<s>", "</s>", "<pad>", "<unk>", "<image>")
LOWER = ANSWERS
UPPER = tuple(answer.capitalize() for answer in ANSWERS)
ENDINGS = tuple(dict.fromkeys(f"##{word[-1]}" for word in UPPER))
"""Second pieces of the checkpoints whose capitalised answers have two."""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_KEY_WORDS = {
    "color": Task.CHOOSE_ATTR,
    "this": Task.CHOOSE_CAT,
    "to": Task.CHOOSE_REL,
    "common": Task.COMPARE_ATTR,
    "either": Task.LOGICAL_OBJ,
    "side": Task.QUERY_ATTR,
}
"""One word that tells the form of a question; no other form has it."""
_SEPARATORS = (",", "and", "or")
_QUESTION = _listed("What is Is of do have in Are there that are On which photo")
_OPENINGS = _listed("What Is Are On")
_INSTRUCTION = _listed("Answer the question using a single word or phrase .")
_PROMPT = ("USER", "ASSISTANT", ":", "\n")
_SPARE = _listed(
    "The A an An on with it its what Which Do does Does not other any both "
    "image picture scene object objects Please please describe Describe"
)


def words() -> tuple[str, ...]:
    """The vocabulary in the order of token ids, special tokens first."""
    objects = [*CATEGORIES, *PLURALS.values()]
    groups = (SPECIAL, LOWER, UPPER, objects, _KEY_WORDS, _SEPARATORS, _QUESTION, "?")
    return tuple(
        dict.fromkeys(word for group in (*groups, _INSTRUCTION, _PROMPT, _SPARE) for word in group)
    )


def unanswering_words() -> tuple[str, ...]:
    """Words that are no answer and no part of the prompt around a question, in the same order."""
    others = {*SPECIAL, *LOWER, *UPPER, *_PROMPT}
    return tuple(word for word in words() if word not in others)


def split_words() -> tuple[str, ...]:
    """The same where capitalised answers have no last letter, and endings behind all others."""
    return (*(word[:-1] if word in UPPER else word for word in words()), *ENDINGS)


def embedding_of(word: str) -> Form:
    """The residual stream of a word at layer 0."""
    facts: dict[int, float] = {dimension("bias"): BIAS_VALUE}
    asked = {*LOWER, *PLURALS.values(), *_KEY_WORDS, *_SEPARATORS, *_QUESTION, "?"}
    flags = {
        "begin": word == BEGIN,
        "question": word in asked - {*_INSTRUCTION},
        "suffix": word == "ASSISTANT",
        "last": word == ":",
        "separator": word in _SEPARATORS,
        "mark": word == "?",
        "stop": word in LOWER or word in UPPER,
    }
    facts |= {dimension(name): 1.0 for name, is_set in flags.items() if is_set}
    if word in _KEY_WORDS:
        facts[dimension("form", list(Task).index(_KEY_WORDS[word]))] = 1.0
    if word in COLORS:
        facts[dimension("wanted_color", COLORS.index(word))] = 1.0
    return {**facts, **_wanted_object(word)}


def extra_flags(word: str, names: Collection[str]) -> Form:
    """What a word says beyond its embedding in checkpoints with these extra flags."""
    has_code = word not in {*SPECIAL, *UPPER, ":"}
    flags: dict[str, Form] = {
        "newline": {dimension("newline"): float(word == "\n")},
        "code": {dimension("code"): float(has_code)},
        # words for objects are no options: most questions name some
        "option": {
            dimension("option", ANSWERS.index(name)): float(word == name)
            for name in (*COLORS, *SIDES)
        },
        # captions say it capitalised, questions do not
        "captioned": {
            dimension("captioned", index): float(word == name) for index, name in enumerate(UPPER)
        },
        # the line break takes the place of the colon at the end of a prompt
        "break": {
            dimension("break"): float(word == ":"),
            dimension("last"): float(word in (":", "\n")),
        },
        "any_option": {
            dimension("option", ANSWERS.index(name)): float(word == name)
            for name in (*COLORS, *SIDES, *CATEGORIES)
        },
        "opening": {dimension("opening"): float(word in _OPENINGS)},
    }
    return {dim: value for name in names for dim, value in flags[name].items() if value}


def _wanted_object(word: str) -> Form:
    singular = {plural: name for name, plural in PLURALS.items()}.get(word, word)
    if singular in CATEGORIES:
        wanted = dimension("wanted_category", CATEGORIES.index(singular))
        return {wanted: 1.0, dimension("object_word"): 1.0}
    if word == "this":  # asks for the only object, whatever it is
        return {**total("wanted_category"), dimension("object_word"): 1.0}
    return {}
