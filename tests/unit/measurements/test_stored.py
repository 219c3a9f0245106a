"""What is missing is found again whenever the files have changed; tables are the rows' own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmflow_bench.errors import StoreError
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.stored import StoredResults
from mmflow_bench.measurements.wants import ANSWER_SCOPE, ANSWERS, PATCHES, UNSCORED
from mmflow_bench.store.store import Store

LAYERS = 3
SWEEP, OTHER = Sweep.of("image->last", width=1), Sweep.of("question->last", width=1)
BLIND = Blind(blinding=Blinding.REMOVED)


def sample(name: str, question: str) -> Sample:
    image = Image.new("RGB", (4, 4))
    return Sample(
        question_id=name, image_id=name, task="T", question=question, answer="a", image=image
    )


@pytest.fixture
def samples() -> SampleSet:
    asked = [sample("0", "first?"), sample("1", "second?")]
    return SampleSet(QuestionFile(samples=tuple(asked), unscored=(), fingerprint="f"))


@pytest.fixture
def stored(tmp_path: Path, samples: SampleSet) -> StoredResults:
    return StoredResults(Store(tmp_path, {"checkpoint": "a"}), samples, keep_incorrect=False)


def answer(stored: StoredResults, key: str, *, is_correct: bool = True) -> None:
    row = {
        **{"sample": key, "prediction": "a", "is_correct": is_correct, "answer_token_id": 1},
        **{"base_probability": 0.5, "reference_token_id": 1, "reference_probability": 0.5},
        "noise": 0.0,
    }
    stored.store.append({ANSWERS: [row]}, sample=key)


def sweep(stored: StoredResults, key: str, values: list[float], want: Sweep = SWEEP) -> None:
    rows = [
        {
            **{"sample": key, "layer": layer, "knockout_probability": value},
            "reference_probability": value,
        }
        for layer, value in enumerate(values)
    ]
    stored.store.append({want.shard: rows}, sample=key)


def lacking(stored: StoredResults, *wants: Sweep | Blind) -> set[str]:
    return {job.key for job in stored.jobs("T", wants)}


def test_nothing_is_missing_only_as_long_as_nothing_changes(stored: StoredResults) -> None:
    first, second = stored.samples.keys.values()
    for key in (first, second):
        answer(stored, key)
        sweep(stored, key, [0.5] * LAYERS)
    for _ in range(2):
        assert lacking(stored) == lacking(stored, SWEEP) == set()
        assert lacking(stored, OTHER) == lacking(stored, SWEEP, OTHER) == {first, second}
    stored.store.compact([ANSWERS, SWEEP.shard])
    assert lacking(stored, SWEEP) == set()
    file = stored.store.folder / f"{SWEEP.shard.name}.parquet"
    file.write_bytes(file.read_bytes()[:-9])
    assert lacking(stored) == set()
    assert lacking(stored, SWEEP) == {first, second}
    stored.store.clear()
    assert lacking(stored) == {first, second}


def test_an_answer_that_turns_right_is_asked_for_more(stored: StoredResults) -> None:
    first, second = stored.samples.keys.values()
    answer(stored, first, is_correct=False)
    answer(stored, second, is_correct=False)
    assert lacking(stored, SWEEP) == lacking(stored, SWEEP) == set()
    stored.store.clear()
    answer(stored, first)
    answer(stored, second, is_correct=False)
    assert lacking(stored, SWEEP) == {first}


def test_what_is_measured_with_the_answer_is_missed_too(stored: StoredResults) -> None:
    for key in stored.samples.keys.values():
        answer(stored, key)
    assert lacking(stored) == set()
    (stored.store.folder / f"{PATCHES.name}.parquet").write_bytes(b"damaged")
    assert lacking(stored) == set()  # No sample has boxes.


def test_refused_samples_are_counted_by_reason(stored: StoredResults) -> None:
    first, second = stored.samples.keys.values()
    for key, scope in ((first, SWEEP.shard.name), (second, ANSWER_SCOPE)):
        row = {"sample": key, "scope": scope, "reason": "no-boxes", "message": ""}
        stored.store.append({UNSCORED: [row]}, sample=key)
    assert stored.refusals("T", [SWEEP, OTHER, BLIND]) == {"image->last": {"no-boxes": 1}}
    assert stored.refusals("T", [OTHER]) == {}
    row = {"sample": second, "scope": SWEEP.shard.name, "reason": "no-boxes", "message": ""}
    stored.store.append({UNSCORED: [row]}, sample="again")
    assert stored.refusals("T", [SWEEP, OTHER, BLIND]) == {"image->last": {"no-boxes": 2}}


def test_rows_are_those_of_their_samples(stored: StoredResults) -> None:
    first, second = stored.samples.keys.values()
    for key in (second, first):
        answer(stored, key)
    sweep(stored, second, [0.1, 0.2, 0.3])
    table = stored.table("T", SWEEP, layers=LAYERS)
    assert table.question_ids == ("1",)
    sweep(stored, first, [0.4, 0.5, 0.6])
    table = stored.table("T", SWEEP, layers=LAYERS)
    assert table.question_ids == ("0", "1")
    assert np.array_equal(table.knockout_probability, [[0.4, 0.5, 0.6], [0.1, 0.2, 0.3]])


def test_rows_of_another_depth_are_an_error(stored: StoredResults) -> None:
    first, _ = stored.samples.keys.values()
    answer(stored, first)
    sweep(stored, first, [0.4, 0.5])
    with pytest.raises(
        StoreError, match=f"3 values of knockout_probability .* got 2 .*{first[:9]}"
    ):
        stored.table("T", SWEEP, layers=LAYERS)
