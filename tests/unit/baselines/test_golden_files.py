"""Baseline files on disk."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmflow_bench.baselines.golden import (
    baseline_file,
    change_entries,
    find_file,
    read_entries,
)
from mmflow_bench.errors import BaselineError


def test_entries_written_at_once_are_all_kept_and_no_lock_is_left(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    path = baseline_file(tmp_path, "planted_base", "test_a")

    def add(number: int) -> None:
        change_entries(path, lambda entries: entries | {f"test[{number}]": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(20)))
    assert len(read_entries(path)) == 20
    assert json.loads(path.read_text())["schema_version"] == 1
    assert not list(temporary.iterdir())
    assert list(path.parent.iterdir()) == [path]


def test_a_file_without_entries_is_removed(tmp_path):
    path = baseline_file(tmp_path, "m", "test_a")
    change_entries(path, lambda _: {"test": 1})
    change_entries(path, lambda _: {})
    assert not path.exists()
    assert read_entries(path) == {}


def test_the_first_root_that_has_the_file_is_read(tmp_path):
    path = baseline_file(tmp_path / "b", "m", "test_a")
    change_entries(path, lambda _: {"test": 1})
    assert find_file([tmp_path / "a", tmp_path / "b"], "m", "test_a") == path
    assert find_file([tmp_path / "a"], "m", "test_a") is None


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 1}'])
def test_a_damaged_file_is_refused_with_its_name(tmp_path, text):
    path = tmp_path / "test_a.json"
    path.write_text(text)
    with pytest.raises(BaselineError, match=r"test_a\.json"):
        read_entries(path)


def test_another_schema_is_refused(tmp_path):
    path = tmp_path / "test_a.json"
    path.write_text('{"schema_version": 2, "baselines": {}}')
    with pytest.raises(BaselineError, match="schema 1, got 2"):
        read_entries(path)


def test_a_folder_that_cannot_be_written_is_said_in_words(tmp_path):
    (tmp_path / "m").write_text("a file")
    with pytest.raises(BaselineError, match="a folder for baselines that can be written"):
        change_entries(baseline_file(tmp_path, "m", "test_a"), lambda _: {"test": 1})
