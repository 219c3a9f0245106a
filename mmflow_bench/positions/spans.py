"""From characters to token positions, through the offsets that the tokenizer gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmflow_bench.errors import PositionError
from mmflow_bench.inputs.phrases import Span, phrase_spans

# Questions name an object in the singular or plural, whichever the annotation has, and a person
# annotated by a pronoun in the form that the sentence needs.
_IRREGULAR = {
    "man": "men",
    "woman": "women",
    "person": "people",
    "child": "children",
    "mouse": "mice",
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "he": "him",
    "she": "her",
}


def token_positions(offsets: Sequence[Span], start: int, end: int) -> tuple[int, ...]:
    """Positions whose token covers at least one character of [start, end).

    A token that is only partly inside belongs to the span, as in the published program. Tokens that
    share one character, as byte-fallback tokens do, all belong; tokens that stand for no character
    belong to nothing.

    >>> token_positions([(0, 0), (0, 4), (4, 8), (8, 9)], 5, 9)
    (2, 3)
    """
    return tuple(
        position
        for position, (first, last) in enumerate(offsets)
        if max(first, start) < min(last, end)
    )


def find_phrase(question: str, phrase: str, *, sample: str, besides: Iterable[str] = ()) -> Span:
    """The characters of a phrase that a question holds once, as whole words in any case.

    `besides` is what else the question names: `toilet` is not meant in `toilet paper` where both
    are named.

    Raises:
        PositionError: It is not there (`phrase-not-in-question`), or more than once
            (`ambiguous-phrase`).
    """
    return _only(_meant(question, phrase, besides), question, phrase, sample)


def find_object(question: str, name: str, *, sample: str, besides: Iterable[str] = ()) -> Span:
    """The characters of an object's name, in the number that the question uses.

    The name itself wins over its plural or singular.

    Raises:
        PositionError: No form of it is there (`phrase-not-in-question`), or a form is there more
            than once (`ambiguous-phrase`).
    """
    for form in (name, *_other_numbers(name)):
        spans = _meant(question, form, besides)
        if spans:
            return _only(spans, question, form, sample)
    return _only((), question, name, sample)


def object_spans(text: str, name: str) -> tuple[Span, ...]:
    """Wherever a text names an object, in the singular or plural.

    >>> object_spans("Two balls beside a ball", "ball")
    ((4, 9), (19, 23))
    """
    forms = (name, *_other_numbers(name))
    return tuple(sorted({span for form in forms for span in phrase_spans(text, form)}))


def find_published(text: str, phrase: str, *, sample: str) -> Span:
    """The characters of the first place where a text holds a phrase, inside another word too.

    To the letter of the published program, which finds `hat` in `What`.

    Raises:
        PositionError: It is not there (`phrase-not-in-question`).
    """
    start = text.find(phrase)
    if start < 0 or not phrase:
        return _only((), text, phrase, sample)
    return start, start + len(phrase)


def _meant(question: str, phrase: str, besides: Iterable[str]) -> tuple[Span, ...]:
    """Spans of a phrase, but for those inside a longer name that stands there as well."""
    spans = phrase_spans(question, phrase)
    if len(spans) < 2:
        return spans
    longer = [
        span
        for name in besides
        if len(name) > len(phrase)
        for form in (name, *_other_numbers(name))
        for span in phrase_spans(question, form)
    ]
    return tuple(
        (start, end)
        for start, end in spans
        if not any(first <= start and end <= last for first, last in longer)
    )


def _only(spans: Sequence[Span], question: str, phrase: str, sample: str) -> Span:
    if len(spans) == 1:
        return spans[0]
    got, reason = "none", "phrase-not-in-question"
    if spans:
        got, reason = f"{len(spans)} of them", "ambiguous-phrase"
    raise PositionError(
        f"the words {phrase!r} once in the question, got {got} (sample {sample}: {question!r}); "
        "correct the row, or leave out the roles that need it",
        reason=reason,
    )


def _other_numbers(name: str) -> tuple[str, ...]:
    """Plural and singular forms of a name; only its last word changes."""
    before, space, word = name.rpartition(" ")
    forms = [f"{word}s", f"{word}es"]
    if word.endswith("y"):
        forms.append(f"{word[:-1]}ies")
    for ending in ("fe", "f"):
        if word.endswith(ending):
            forms.append(f"{word.removesuffix(ending)}ves")
    for plural, singular in (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", "")):
        if word.endswith(plural) and len(word) > len(plural) + 1:
            forms.append(word.removesuffix(plural) + singular)
    for one, many in _IRREGULAR.items():
        for this, other in ((one, many), (many, one)):
            if word == this or word.endswith(f"-{this}"):
                forms.append(word.removesuffix(this) + other)
    return tuple(f"{before}{space}{form}" for form in dict.fromkeys(forms))
