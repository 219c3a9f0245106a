"""The run folder: complete, or a clear complaint."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmflow_bench.errors import StoreError
from mmflow_bench.measurements.knockout_sweep import SweepTable
from mmflow_bench.runs.folder import SAMPLES
from mmflow_bench.runs.results import results_of, write_run
from mmflow_bench.runs.tables import sweep_rows, write_part

FACTS = {"checkpoint": {"name": "m", "source": "m"}, "tasks": {}}
RESULTS = results_of([], facts=FACTS, run_id="r", created="now", settings={}, environment={})


def sweep(task: str, questions: int) -> SweepTable:
    return SweepTable(
        edge="question->last",
        task=task,
        window=3,
        method="masked",
        question_ids=tuple(map(str, range(questions))),
        image_ids=("i",) * questions,
        base_probability=np.full(questions, 0.5),
        knockout_probability=np.full((questions, 4), 0.25),
    )


def test_parts_of_workers_become_one_table_without_repeats(tmp_path):
    write_part(tmp_path, SAMPLES, sweep_rows([sweep("A", 3), sweep("B", 2)]))
    write_part(tmp_path, SAMPLES, sweep_rows([sweep("B", 2)]))
    write_run(tmp_path, RESULTS, [])
    table = pq.read_table(tmp_path / "samples.parquet").to_pylist()
    assert len(table) == 5
    assert table[0]["relative_change"] == [-0.5] * 4
    assert {path.name for path in tmp_path.iterdir()} == {
        *("results.json", "mechanisms.parquet", "samples.parquet"),
    }


def test_a_full_disk_is_said_in_words_and_leaves_no_half_file(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StoreError, match=r"No space left on device .*--mmflow-output"):
        write_run(tmp_path, RESULTS, [])
    assert not (tmp_path / "results.json").exists()
