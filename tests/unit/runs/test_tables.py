"""Tables that several processes write: merged, in one order, each row once."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from mmflow_bench.errors import StoreError
from mmflow_bench.runs.folder import QUESTIONS
from mmflow_bench.runs.tables import merge_parts, write_part


def row(question_id: str) -> dict[str, object]:
    return {
        "task": "T",
        "question_id": question_id,
        "question": "?",
        "boxes": [[0.0, 1.0, 2.0, 3.0]],
    }


def test_parts_become_one_table(tmp_path):
    write_part(tmp_path, QUESTIONS, [row("2"), row("1")])
    write_part(tmp_path, QUESTIONS, [row("2"), row("3")])
    merge_parts(tmp_path)
    table = pq.read_table(tmp_path / QUESTIONS).to_pylist()
    assert [one["question_id"] for one in table] == ["1", "2", "3"]
    assert table[0]["boxes"] == [[0.0, 1.0, 2.0, 3.0]]
    assert table[0]["patches"] is None
    assert [path.name for path in tmp_path.iterdir()] == [QUESTIONS]


def test_without_rows_there_is_no_table(tmp_path):
    write_part(tmp_path, QUESTIONS, [])
    merge_parts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_in_words(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_part(tmp_path, QUESTIONS, [row("1")])
