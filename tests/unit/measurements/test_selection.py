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
from mmflow_bench.measurements.limits import Limit, select
from mmflow_bench.measurements.order import END, Order
from mmflow_bench.measurements.selection import SampleSet


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


def set_of(members: list[Sample], seed: int | None = None) -> SampleSet:
    return SampleSet(QuestionFile(samples=tuple(members), unscored=(), fingerprint=""), seed=seed)


def test_looks_at_more_and_more_images_hold_the_images_of_those_before() -> None:
    every = set_of(TWICE)
    before: set[str] = set()
    for count in range(1, every.images("T") + 1):
        part = every.first({"T": count}, looks=3)
        chosen = [sample.question_id for sample in part.of("T")]
        assert before <= set(chosen)
        assert len({sample.image_id for sample in part.of("T")}) == count
        # In the order of the file, whole images.
        assert chosen == sorted(chosen)
        before = set(chosen)
    assert before == {sample.question_id for sample in TWICE}


def test_an_order_ends_where_the_first_sample_is_not_at_hand() -> None:
    every = set_of(TWICE)
    whole = every.first({"T": every.images("T")}, looks=3).orders["T"]
    for count in range(1, every.images("T")):
        part = every.first({"T": count}, looks=3)
        order, at_hand = part.orders["T"], {one.question_id for one in part.of("T")}
        known = len(order.samples)
        assert order.samples == whole.samples[:known]
        assert whole.question_ids[known] not in at_hand
        assert whole.samples[known][0] == order.missing
        assert (order.of, order.looks) == (len(TWICE), 3)
        assert order.seen == count / every.images("T")
    assert (whole.missing, whole.seen) == (END, 1.0)


def test_an_order_is_the_same_whatever_else_is_selected_and_another_with_a_seed() -> None:
    few = set_of(samples(9)).first({"ChooseAttr": 9}, looks=1).orders["ChooseAttr"]
    many = set_of(samples(20)).first({"ChooseAttr": 20}, looks=1).orders["ChooseAttr"]
    kept = [one for one in many.question_ids if one in set(few.question_ids)]
    assert kept == list(few.question_ids)
    other = set_of(samples(9), seed=1).first({"ChooseAttr": 9}, looks=1).orders["ChooseAttr"]
    assert other.question_ids != few.question_ids
    assert sorted(other.question_ids) == sorted(few.question_ids)


def test_every_sample_is_as_likely_to_come_first() -> None:
    first = Counter(
        set_of(TWICE, seed=seed).first({"T": 5}, looks=1).orders["T"].question_ids[0]
        for seed in range(700)
    )
    # Expected are 100 of each; 60 is four standard deviations off.
    assert min(first[sample.question_id] for sample in TWICE) > 60


def test_tasks_together_are_known_as_far_as_the_shortest() -> None:
    every = set_of(samples(20) + samples(20, "QueryAttr"))
    part = every.first({"ChooseAttr": 15, "QueryAttr": 5}, looks=2)
    pooled = Order.pooled(list(part.orders.values()))
    assert pooled.of == 40
    assert pooled.seen == 0.25
    at_hand = {s.question_id for task in part.tasks for s in part.of(task)}
    assert set(pooled.question_ids) <= at_hand
    assert list(pooled.samples) == sorted(pooled.samples)
    assert all(place < pooled.missing for place, _ in pooled.samples)


def test_donors_at_a_look_are_those_of_the_whole() -> None:
    members = [replace(one, image=Image.new("RGB", (4, 4))) for one in samples(12)]
    members = [replace(one, answer="ab"[i % 2]) for i, one in enumerate(members)]
    every = set_of(members)
    part = every.first({"ChooseAttr": 3}, looks=1)
    for sample in part.of("ChooseAttr"):
        assert part.donor("ChooseAttr", sample) == every.donor("ChooseAttr", sample)


def test_part_of_a_look_has_no_order() -> None:
    part = set_of(samples(40)).first({"ChooseAttr": 16}, looks=1).part()
    assert part.orders == {}
    assert 4 <= len(part.of("ChooseAttr")) < 16
