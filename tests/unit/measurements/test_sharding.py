"""Parts of the samples that processes find by themselves, each the same ones."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.cli.main import main
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.settings import MeasurementSettings, parse_shard
from mmflow_bench.measurements.sharding import Slice, dealt

COSTS = st.dictionaries(st.text(max_size=4), st.integers(1, 50), max_size=30)
ARRAY = {f"SLURM_ARRAY_TASK_{name}": "" for name in ("ID", "COUNT", "MIN", "STEP")}


def array(own: int, count: int, first: int = 1, step: int = 1) -> dict[str, str]:
    return dict(zip(ARRAY, map(str, (own, count, first, step)), strict=True))


def ranks(own: int, count: int) -> dict[str, str]:
    return {"RANK": str(own), "WORLD_SIZE": str(count)}


@given(COSTS, st.integers(1, 40))
def test_every_image_is_in_one_part_and_none_is_much_larger(costs: dict, of: int) -> None:
    parts = dealt(costs, of)
    assert sorted(name for part in parts for name in part) == sorted(costs)
    loads = [sum(costs[name] for name in part) for part in parts]
    most, average = max(costs.values(), default=0), sum(costs.values()) / of
    assert all(load <= average + most for load in loads)
    assert max(loads, default=0) - min(loads, default=0) <= most


@given(COSTS, st.integers(1, 9), st.randoms())
def test_parts_do_not_depend_on_the_order_in_which_images_come(costs: dict, of: int, draw) -> None:
    items = list(costs.items())
    draw.shuffle(items)
    assert dealt(dict(items), of) == dealt(costs, of)


def test_a_part_of_a_thousand_million_takes_no_memory() -> None:
    assert len(dealt({"a": 1, "b": 1}, 999_999_999)) == 2


def test_a_shard_is_a_number_and_how_many_there_are() -> None:
    assert Slice.parse(" 3/8 ", {}) == Slice(number=3, of=8)
    assert parse_shard("1/1") == "1/1"


@pytest.mark.parametrize(
    "text", ["", "0/4", "5/4", "1", "1/", "/4", "a/b", "-1/4", "1/0", "1/2/3", "1.0/2", "9" * 5000]
)
def test_refuses_what_is_no_part(text: str) -> None:
    with pytest.raises(ValueError, match=r"--shard takes I/N with I from 1 to N"):
        Slice.parse(text, {})


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (array(1, 8), "1/8"),
        (array(8, 8), "8/8"),
        (array(0, 8, first=0), "1/8"),
        (array(7, 8, first=0), "8/8"),
        (array(30, 4, first=0, step=10), "4/4"),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, "4/4"),
        (ranks(0, 2), "1/2"),
        (ranks(1, 2), "2/2"),
        # Each task of the array is a launcher of several.
        (array(2, 3) | ranks(0, 2), "3/6"),
        (array(2, 3) | ranks(1, 2), "4/6"),
    ],
)
def test_auto_is_what_the_environment_says(environment: Mapping[str, str], expected: str) -> None:
    assert str(Slice.parse("auto", environment)) == expected


def test_all_places_of_an_array_of_launchers_are_different() -> None:
    places = {
        str(Slice.parse("auto", array(task, 3) | ranks(rank, 2)))
        for task in (1, 2, 3)
        for rank in (0, 1)
    }
    assert places == {f"{number}/6" for number in range(1, 7)}


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "got none of them"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT takes a whole number"),
        (array(9, 3), "without gaps"),
        (array(5, 4, first=0, step=2), "without gaps"),
        (ranks(2, 2), "below WORLD_SIZE"),
        ({"WORLD_SIZE": "2"}, "RANK takes a whole number"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "WORLD_SIZE takes a whole number"),
    ],
)
def test_auto_is_refused_where_the_environment_does_not_tell(
    environment: Mapping[str, str], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Slice.parse("auto", environment)


def test_what_would_take_from_other_shards_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="--refresh empties the store that the other shards"):
        MeasurementSettings(shard="1/2", cache=tmp_path, refresh=True)
    with pytest.raises(ValueError, match="got --mmflow-cache=off"):
        MeasurementSettings(shard="1/2")
    assert MeasurementSettings(shard="1/1", refresh=True).refresh


@pytest.mark.parametrize("shard", ["", "0/4", "x"])
def test_a_command_says_what_a_shard_is(shard: str) -> None:
    found = CliRunner().invoke(main, ["measure", f"--shard={shard}"])
    assert found.exit_code == 2
    assert "--shard takes I/N with I from 1 to N" in found.stderr


def test_a_part_has_all_samples_of_its_images_and_the_donors_of_the_whole() -> None:
    samples = SampleSet(
        QuestionFile(
            samples=tuple(
                Sample(
                    question_id=f"{image}{task}{which}",
                    image_id=str(image),
                    task=task,
                    question="?",
                    answer=str(image),
                    image=FILE,
                )
                for task in "TU"
                for image in range(4)
                for which in "ab"
            ),
            unscored=(),
            fingerprint="",
        )
    )
    part = samples.among({"2"}, lock="-1/4")
    assert [one.question_id for one in part.of("T")] == ["2Ta", "2Tb"]
    assert [one.question_id for one in part.of("U")] == ["2Ua", "2Ub"]
    donor = part.donor("T", part.of("T")[0])
    assert donor is not None
    assert donor.image_id == "3"
    assert samples.among(set(), lock="").tasks == ()


class File:
    def read_bytes(self) -> bytes:
        return b"pixels"


FILE = File()
