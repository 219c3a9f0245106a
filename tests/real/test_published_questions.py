"""The spans of every published question, with the tokenizers of the paper's checkpoints.

Positions are checked against the tokens themselves: what each piece writes is put end to end, so
that the offsets which the package goes by play no part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from PIL import Image
from transformers import PreTrainedTokenizerFast

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.inputs.question_sets import SHIPPED
from mmflow_bench.inputs.questions import QuestionFile, read_questions
from mmflow_bench.inputs.samples import CHOOSE_TASKS, Sample
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.role_positions import RolePositions
from mmflow_bench.positions.roles import Role

pytestmark = [pytest.mark.real, pytest.mark.slow]

INSTRUCTION = "Answer the question using a single word or phrase."
TEMPLATES = {"llama_2": "vicuna_v1", "llama_3": "llava_llama_3", "mistral": "mistral_instruct"}
LAST = {"llama_2": ":", "llama_3": " \n", "mistral": "]"}
# Rows without a role: of those that are read, and the reason.
REFUSED = {
    (Role.TRUE_OPTION, "ambiguous-phrase"): 1,
    (Role.FALSE_OPTION, "ambiguous-phrase"): 2,
    (Role.QUESTION_WITHOUT_OPTIONS, "ambiguous-phrase"): 3,
    (Role.OBJECTS, "ambiguous-phrase"): 8,
    (Role.OBJECTS, "phrase-not-in-question"): 21,
    (Role.QUESTION_WITHOUT_OBJECTS, "ambiguous-phrase"): 8,
    (Role.QUESTION_WITHOUT_OBJECTS, "phrase-not-in-question"): 21,
}

IRREGULAR = {"person": "people", "mouse": "mice", "foot": "feet", "man": "men", "he": "him"}

Written = list[tuple[int, int]]


@dataclass(frozen=True)
class Row:
    sample: Sample
    roles: RolePositions
    after: str
    """The text after the image."""
    written: Written
    """Characters of `after` that each position writes; (0, 0) elsewhere."""


@pytest.fixture(scope="module")
def questions() -> QuestionFile:
    return read_questions(SHIPPED["gqa"])


@pytest.fixture(scope="module", params=TEMPLATES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def rows(
    family: str,
    questions: QuestionFile,
    random_llava: Callable[..., LoadedCheckpoint],
    request: pytest.FixtureRequest,
) -> list[Row]:
    tokenizer = request.getfixturevalue(f"{family}_tokenizer")
    # The photo plays no part in the text: four patches are enough.
    checkpoint = random_llava(tokenizer, TEMPLATES[family], side=28)
    image = Image.new("RGB", (28, 28))
    return [_row(replace(sample, image=image), checkpoint) for sample in questions.samples]


def _row(sample: Sample, checkpoint: LoadedCheckpoint) -> Row:
    encoded = encode(sample, checkpoint)
    ids = encoded.input_ids.tolist()
    first = len(ids) - ids[::-1].index(checkpoint.parts.image_token_id)
    after = encoded.prompt.split("<image>")[1]
    pieces = list(_pieces(checkpoint.tokenizer, ids[first:]))
    # SentencePiece has put a space before the text.
    start = len(after) - len("".join(pieces))
    written: Written = [(0, 0)] * first
    for piece in pieces:
        written.append((start, start + len(piece)))
        start += len(piece)
    assert "".join(pieces).removeprefix(" ") == after
    return Row(sample, resolve_roles(encoded, checkpoint), after, written)


def _pieces(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> Iterator[str]:
    """What each token writes; the published questions are ASCII, so a byte is a character."""
    for token in tokenizer.convert_ids_to_tokens(ids):
        byte = re.fullmatch(r"<0x([0-9A-F]{2})>", token)
        if byte:
            yield chr(int(byte[1], 16))
        else:
            yield token.translate({ord("▁"): " ", ord("Ġ"): " ", ord("Ċ"): "\n"})


def covering(row: Row, start: int, end: int) -> set[int]:
    """Positions that write at least one of the characters, which are words."""
    return {
        position
        for position, (first, last) in enumerate(row.written)
        if max(first, start) < min(last, end)
    }


def question_start(row: Row) -> int:
    (start,) = (match.start() for match in re.finditer(re.escape(row.sample.question), row.after))
    return start


def expected_phrase(row: Row, phrase: str, other: str | None) -> set[int]:
    def found(words: str) -> list[re.Match[str]]:
        pattern = rf"(?<![\w-]){re.escape(words)}(?![\w-])"
        return list(re.finditer(pattern, row.sample.question, re.IGNORECASE))

    # `car` is not the one of `train car` where both are options.
    longer = found(other) if other is not None and phrase in other else []
    (match,) = (
        match
        for match in found(phrase)
        if not any(m.start() <= match.start() < match.end() <= m.end() for m in longer)
    )
    start = question_start(row)
    return covering(row, start + match.start(), start + match.end())


def test_every_readable_row_is_encoded(rows: list[Row], questions: QuestionFile) -> None:
    assert len(rows) == len(questions.samples)
    assert len(questions.samples) + len(questions.unscored) == 5525


def test_questions_are_their_own_characters_and_nothing_else(rows: list[Row]) -> None:
    for row in rows:
        start = question_start(row)
        expected = covering(row, start, start + len(row.sample.question))
        assert set(row.roles[Role.QUESTION]) == expected, row.sample.question
        assert row.after[start + len(row.sample.question) :].startswith(f" \n{INSTRUCTION}")


def test_the_last_position_is_the_last_token_of_the_prompt(rows: list[Row], family: str) -> None:
    for row in rows:
        assert row.roles[Role.LAST] == (len(row.written) - 1,)
        assert row.after[slice(*row.written[-1])] == LAST[family]


def test_options_are_their_words(rows: list[Row]) -> None:
    checked = 0
    for row in rows:
        if row.sample.task not in CHOOSE_TASKS:
            continue
        options: set[int] = set()
        given = row.sample.true_option, row.sample.false_option
        for role, option, other in (
            (Role.TRUE_OPTION, *given),
            (Role.FALSE_OPTION, *given[::-1]),
        ):
            if role in row.roles.unavailable:
                continue
            assert option is not None
            found = set(row.roles[role])
            assert found == expected_phrase(row, option, other), (row.sample.question, option)
            options |= found
            checked += 1
        if Role.QUESTION_WITHOUT_OPTIONS in row.roles.positions:
            rest = set(row.roles[Role.QUESTION]) - options
            assert set(row.roles[Role.QUESTION_WITHOUT_OPTIONS]) == rest
    assert checked > 5800


def test_objects_are_their_names_in_the_number_of_the_question(rows: list[Row]) -> None:
    checked = 0
    for row in rows:
        if Role.OBJECTS in row.roles.unavailable:
            continue
        positions = row.roles[Role.OBJECTS]
        words = "".join(row.after[slice(*row.written[position])] for position in positions)
        found = re.findall(r"[\w-]+", words.casefold())
        for name in row.sample.object_names:
            for word in name.casefold().split():
                # The number may differ: what is common to both is all but the ending.
                stem = word[: max(2, len(word) - 3)]
                assert any(
                    other.startswith((stem, IRREGULAR.get(word, stem))) for other in found
                ), (row.sample.question, name, words)
        # Nothing but the names: as many words as they have.
        assert len(found) <= sum(len(name.split()) for name in row.sample.object_names)
        checked += 1
    assert checked > 5000


def test_rows_without_a_role_are_counted_with_the_reason(rows: list[Row]) -> None:
    of_the_image = {role for role in Role if role.endswith("_patches")} | {Role.NEWLINE}
    wanted = set(Role) - of_the_image - {Role.CAPTION}
    counts = Counter(
        (role, error.reason)
        for row in rows
        for role, error in row.roles.unavailable.items()
        if role in wanted and error.reason not in ("no-options", "no-objects")
    )
    assert dict(counts) == REFUSED
