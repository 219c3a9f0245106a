from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.errors import PositionError
from mmflow_bench.positions.spans import find_object, find_phrase, token_positions


def test_a_token_that_is_partly_covered_belongs_to_the_span() -> None:
    offsets = [(0, 4), (4, 8), (8, 12)]
    assert token_positions(offsets, 3, 5) == (0, 1)
    assert token_positions(offsets, 4, 8) == (1,)


def test_tokens_of_one_character_all_belong() -> None:
    assert token_positions([(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)], 1, 2) == (1, 2, 3)


def test_a_token_that_stands_for_no_character_belongs_to_nothing() -> None:
    assert token_positions([(0, 0), (0, 3), (2, 2), (3, 5)], 0, 5) == (1, 3)


def test_an_empty_span_covers_nothing() -> None:
    assert token_positions([(0, 3), (3, 5)], 2, 2) == ()


@st.composite
def tokens_and_span(draw: st.DrawFn) -> tuple[list[tuple[int, int]], int, int]:
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=20))
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    offsets = [(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    start = draw(st.integers(0, ends[-1]))
    return offsets, start, draw(st.integers(start, ends[-1]))


@given(tokens_and_span())
def test_positions_are_those_whose_characters_meet_the_span(
    case: tuple[list[tuple[int, int]], int, int],
) -> None:
    offsets, start, end = case
    wanted = set(range(start, end))
    met = [i for i, (first, last) in enumerate(offsets) if wanted & set(range(first, last))]
    assert token_positions(offsets, start, end) == tuple(met)


def phrase_in(question: str, phrase: str) -> str:
    start, end = find_phrase(question, phrase, sample="007")
    return question[start:end]


@pytest.mark.parametrize(
    ("question", "phrase", "found"),
    [
        ("What is the hat made of?", "hat", "hat"),
        ("Is the T-shirt or the shirt red?", "shirt", "shirt"),
        ("Is it RED or blue?", "red", "RED"),
        ("Is it light  brown?", "light brown", "light  brown"),
        ("İs the CAFÉ open?", "café", "CAFÉ"),
        ("Is it (c++) or c?", "(c++)", "(c++)"),
    ],
)
def test_a_phrase_is_found_as_whole_words(question: str, phrase: str, found: str) -> None:
    assert phrase_in(question, phrase) == found


@pytest.mark.parametrize(
    ("question", "phrase", "reason"),
    [
        ("What type of device is orange, the telephone?", "phone", "phrase-not-in-question"),
        ("What device is black, the laptop or the laptop screen?", "laptop", "ambiguous-phrase"),
        ("What is it?", "", "phrase-not-in-question"),
    ],
)
def test_a_phrase_that_is_not_there_once_is_refused_with_sample_phrase_and_question(
    question: str, phrase: str, reason: str
) -> None:
    with pytest.raises(PositionError) as caught:
        find_phrase(question, phrase, sample="007")
    assert caught.value.reason == reason
    assert "sample 007" in str(caught.value)
    assert repr(phrase) in str(caught.value)
    assert repr(question) in str(caught.value)


@pytest.mark.parametrize(
    ("question", "name", "found"),
    [
        ("Are there either any refrigerators or bags that are red?", "bag", "bags"),
        ("Are there benches or boxes?", "bench", "benches"),
        ("Are there knives?", "knife", "knives"),
        ("Are there shelves?", "shelf", "shelves"),
        ("Are there any berries?", "berry", "berries"),
        ("Is there a cherry?", "cherries", "cherry"),
        ("Is there a glass?", "glasses", "glass"),
        ("Are there baseball bats?", "baseball bat", "baseball bats"),
        ("Are there either men or women?", "man", "men"),
        ("Is there a policeman?", "policeman", "policeman"),
        ("Are there people?", "person", "people"),
        ("Is the chair or are the chairs red?", "chair", "chair"),
    ],
)
def test_an_object_is_found_in_the_number_of_the_question(
    question: str, name: str, found: str
) -> None:
    start, end = find_object(question, name, sample="007")
    assert question[start:end] == found


def test_an_object_that_occurs_twice_is_refused() -> None:
    with pytest.raises(PositionError) as caught:
        find_object("On which side of the picture is the picture?", "picture", sample="007")
    assert caught.value.reason == "ambiguous-phrase"


def test_an_object_under_another_word_is_refused() -> None:
    with pytest.raises(PositionError) as caught:
        find_object("Is that necktie black or white?", "tie", sample="007")
    assert caught.value.reason == "phrase-not-in-question"


def test_a_name_inside_a_longer_one_is_not_meant_where_both_are_named() -> None:
    question = "Is the toilet paper to the left of the toilet?"
    with pytest.raises(PositionError, match="2 of them"):
        find_object(question, "toilet", sample="7")
    names = ("toilet paper", "toilet")
    spans = [find_object(question, name, sample="7", besides=names) for name in names]
    assert [question[start:end] for start, end in spans] == ["toilet paper", "toilet"]
    assert spans[0][0] < spans[1][0]


def test_a_longer_name_may_stand_there_in_another_number() -> None:
    question = "Do you see either any bats or baseball bats?"
    start, _ = find_object(question, "bat", sample="7", besides=("baseball bat", "bat"))
    assert question[:start] == "Do you see either any "


def test_a_longer_option_does_not_hide_the_shorter() -> None:
    question = "Which vehicle is white, the train car or the car?"
    span = find_phrase(question, "car", sample="7", besides=("train car", "car"))
    assert span == (45, 48)
    assert find_phrase("the train car", "car", sample="7", besides=("train car",)) == (10, 13)
