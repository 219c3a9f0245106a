from collections import Counter
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmflow_bench.errors import SelectionError
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import UNKNOWN_TASK, Sample, Unscored
from mmflow_bench.measurements.selection import Limit, SampleSet, select


def samples(count: int, task: str = "ChooseAttr") -> list[Sample]:
    return [
        Sample(question_id=f"{task}-{i}", image_id=str(i), task=task, question="?", answer="a")
        for i in range(count)
    ]


def test_a_count_takes_the_first_of_each_task() -> None:
    chosen = select(samples(5) + samples(5, "QueryAttr"), limit=Limit.parse("2"))
    assert [[sample.question_id for sample in members] for members in chosen.values()] == [
        ["ChooseAttr-0", "ChooseAttr-1"],
        ["QueryAttr-0", "QueryAttr-1"],
    ]


def test_a_share_and_a_range_are_understood() -> None:
    assert len(Limit.parse("0.5").of(samples(10))) == 5
    assert [s.image_id for s in Limit.parse("3-5").of(samples(10))] == ["3", "4"]


@pytest.mark.parametrize("text", ["abc", "", "1.5", "-3", "5-5", "0", "2-x", "nan"])
def test_refuses_a_limit_that_selects_nothing_or_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match=r"--limit takes a number of images per task"):
        Limit.parse(text)


@given(st.integers(1, 30), st.integers(0, 9))
def test_a_seed_shuffles_before_the_cut_and_always_alike(count: int, seed: int) -> None:
    limit = Limit.parse("3")
    first = select(samples(count), limit=limit, seed=seed)
    assert first == select(samples(count), limit=limit, seed=seed)
    assert len(first["ChooseAttr"]) == min(3, count)


def test_a_larger_limit_holds_the_samples_of_a_smaller_one() -> None:
    small = select(samples(20), limit=Limit.parse("5"), seed=3)["ChooseAttr"]
    large = select(samples(20), limit=Limit.parse("9"), seed=3)["ChooseAttr"]
    assert large[:5] == small


# Images 0 and 2 are asked about twice, the latter not in a row.
TWICE = [
    Sample(question_id=str(i), image_id=image, task="T", question="?", answer="a")
    for i, image in enumerate(["0", "0", "1", "2", "3", "2", "4"])
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", "01"), ("2", "012"), ("3", "01235"), ("2-4", "345"), ("4-9", "6"), ("0.4", "012")],
)
def test_a_limit_counts_images_and_takes_all_samples_of_each(text: str, expected: str) -> None:
    assert "".join(s.question_id for s in Limit.parse(text).of(TWICE)) == expected


@given(st.integers(0, 30), st.integers(1, 5))
def test_a_seed_shuffles_whole_images(seed: int, count: int) -> None:
    chosen = select(TWICE, limit=Limit(stop=count), seed=seed)["T"]
    images = [sample.image_id for sample in chosen]
    assert len(set(images)) == count
    assert sorted(images) == sorted(s.image_id for s in TWICE if s.image_id in images)
    # One after the other, so that a larger limit only adds.
    assert [image for image, _ in groupby(images)] == list(dict.fromkeys(images))


def part_of(members: list[Sample]) -> list[Sample]:
    chosen = SampleSet(QuestionFile(samples=tuple(members), unscored=(), fingerprint=""))
    return list(chosen.part().by_task["T"])


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 1), (3, 3), (7, 7), (8, 4), (12, 6), (64, 32), (90, 30)]
)
def test_a_part_is_a_third_of_the_images_or_half_of_few_and_four_at_least(
    count: int, expected: int
) -> None:
    assert len(part_of(samples(count, "T"))) == expected


def test_a_part_has_all_samples_of_its_images_and_every_answer_that_takes_its_turn() -> None:
    members = [
        replace(
            sample, question_id=f"{sample.question_id}{which}", answer=str(int(sample.image_id) % 6)
        )
        for sample in samples(36, "T")
        for which in "ab"
    ]
    part = part_of(members)
    assert set(Counter(sample.image_id for sample in part).values()) == {2}
    assert {sample.answer for sample in part} == set("012345")


def test_only_the_asked_tasks_are_kept() -> None:
    two = samples(2) + samples(2, "QueryAttr")
    assert list(select(two, tasks=["QueryAttr"])) == ["QueryAttr"]
    assert list(select(two, tasks=["Q*", "mine"])) == ["QueryAttr"]
    assert list(select(two)) == ["ChooseAttr", "QueryAttr"]


def test_a_limit_beyond_the_end_of_every_task_is_refused() -> None:
    members = samples(5) + samples(3, "QueryAttr")
    assert select(members, limit=Limit.parse("4-9"))["QueryAttr"] == ()
    with pytest.raises(SelectionError, match=r"begins at 5 \(--limit\); the largest task has 5"):
        select(members, limit=Limit.parse("5-9"))


def test_a_task_that_is_not_selected_is_known_all_the_same() -> None:
    lost = Unscored(question_id="1", image_id="1", task="Lost", reason="?", message="?")
    unsaid = replace(lost, task=UNKNOWN_TASK)
    members = tuple(samples(5) + samples(3, "QueryAttr"))
    file = QuestionFile(samples=members, unscored=(lost, unsaid), fingerprint="")
    chosen = SampleSet(file, tasks=["Choose*", "Lost"])
    assert chosen.tasks == ("ChooseAttr",)
    assert chosen.known_tasks == chosen.part().known_tasks == ("ChooseAttr", "QueryAttr", "Lost")
    assert chosen.unreadable == (lost, unsaid)
    with pytest.raises(SelectionError, match=r"got 'Queri' \(--tasks\); did you mean QueryAttr\?"):
        SampleSet(file, tasks=["Choose*", "Queri"])


def test_rows_that_do_not_say_their_task_are_told_instead_of_a_name_that_is_missed() -> None:
    bad = Unscored(question_id="", image_id="", task=UNKNOWN_TASK, reason="?", message="?")
    file = QuestionFile(samples=(), unscored=(bad,), fingerprint="")
    assert SampleSet(file, tasks=["mine"]).unreadable == (bad,)


def test_a_donor_has_an_image_of_the_same_size_where_one_has() -> None:
    picture = Image.new("RGB", (4, 4))
    sizes_and_answers = [(4, "a"), (4, "a"), (8, "b"), (4, "b"), (8, "c")]
    members = tuple(
        Sample(
            question_id=str(i),
            image_id=str(i),
            task="T",
            question="?",
            answer=answer,
            image=picture,
            image_width=size,
            image_height=4,
        )
        for i, (size, answer) in enumerate(sizes_and_answers)
    )
    chosen = SampleSet(QuestionFile(samples=members, unscored=(), fingerprint=""))
    donors = [chosen.donor("T", sample) for sample in members]
    # sample 4 has its size in common with sample 2, and comes round to it
    assert [donor.question_id for donor in donors if donor] == ["3", "3", "4", "0", "2"]


def test_a_donor_of_another_size_is_better_than_none() -> None:
    picture = Image.new("RGB", (4, 4))
    members = tuple(
        Sample(
            question_id=str(size),
            image_id=str(size),
            task="T",
            question="?",
            answer=str(size),
            image=picture,
            image_width=size,
        )
        for size in (4, 8)
    )
    chosen = SampleSet(QuestionFile(samples=members, unscored=(), fingerprint=""))
    assert chosen.donor("T", members[0]) == members[1]
