"""Shards of one set of samples: together they leave the store that one process would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.sharding import Slice
from mmflow_bench.mechanisms.measuring import Planned
from mmflow_bench.mechanisms.rounds import Round, rounds_of, slice_of

SWEEP = Sweep.of("image->question", width=1)
OTHER = Sweep.of("image->question", width=1, method="counterfactual")
TASKS = ("ChooseAttr", "ChooseCat")


def opened(cache: Path) -> list[Round]:
    measurements = Measurements.open(
        resolve_checkpoint("planted/mini"),
        MeasurementSettings(tasks=TASKS, limit="3", cache=cache, self_test=False),
    )
    planned = dict.fromkeys(TASKS, Planned((SWEEP,), (OTHER,)))
    return rounds_of(measurements, planned)


def measure(rounds: Sequence[Round]) -> None:
    for one in rounds:
        one.measure()


def stored(cache: Path) -> dict[str, bytes]:
    assert not list(cache.glob("*/journal/*.parquet"))
    return {path.name: path.read_bytes() for path in cache.glob("*/*.parquet")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    cache = tmp_path_factory.mktemp("whole")
    measure(opened(cache))
    return stored(cache)


@pytest.mark.parametrize("order", [["1/1"], ["2/2", "1/2"], ["1/3", "3/3", "1/3", "2/3", "2/3"]])
def test_shards_in_any_order_and_repeated_leave_the_same_bytes(
    order: list[str], whole: dict[str, bytes], tmp_path: Path
) -> None:
    for text in order:
        measure(slice_of(opened(tmp_path), Slice.parse(text, {})))
    assert stored(tmp_path) == whole
    assert len(whole) == 4


def test_a_shard_measures_its_own_images_and_nothing_else(tmp_path: Path) -> None:
    rounds = opened(tmp_path)
    own = slice_of(rounds, Slice(number=2, of=3))
    measure(own)
    answered = {sample.image_id for sample, _ in rounds[0].measurements.stored.answered()}
    samples = own[0].measurements.samples
    assert answered == {one.image_id for task in samples.tasks for one in samples.of(task)}
    assert 0 < len(answered) < 6


def test_a_shard_beyond_the_last_image_has_nothing_to_do(tmp_path: Path) -> None:
    (first, second) = slice_of(opened(tmp_path), Slice(number=9, of=9))
    assert first.measurements.tasks == second.measurements.tasks == ()
    measure([first, second])
    assert stored(tmp_path) == {}
