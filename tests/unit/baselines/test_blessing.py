"""Where a baseline is written to, whatever the run calls its checkpoint."""

from __future__ import annotations

from dataclasses import replace

import pytest
from run_folders import made_up_row, write_made_up_run

from mmflow_bench.baselines.blessing import bless
from mmflow_bench.baselines.golden import differences, entry_of, read_entries
from mmflow_bench.baselines.paired_values import read_values
from mmflow_bench.errors import BaselineError

OUTSIDE = ["..", "../elsewhere", "a/b", "/tmp/x", "a\\b", "a\nb", "<script>", "\u202ex", "🦙", " "]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_is_no_folders_is_refused(tmp_path, name):
    run = write_made_up_run(tmp_path / "run")
    with pytest.raises(BaselineError, match="--name"):
        bless(run, tmp_path / "in" / "baselines", name=name)
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_run_does_not_decide_that_it_is_written_elsewhere(tmp_path, name):
    run = write_made_up_run(tmp_path / "run", rows=[made_up_row(model=name)])
    with pytest.raises(BaselineError, match="--name"):
        bless(run, tmp_path / "in" / "baselines")
    assert bless(run, tmp_path / "in" / "baselines", name="own") == tmp_path / "in/baselines/own"


@pytest.mark.parametrize("test", ["", "::t", "a\0b::t", "a\x1b[31m.py::t", "a b.py::t", "..::t"])
def test_a_test_that_is_in_no_ordinary_file_is_refused(tmp_path, test):
    run = write_made_up_run(tmp_path / "run", rows=[made_up_row(test=test)])
    with pytest.raises(BaselineError, match="rows of tests in files"):
        bless(run, tmp_path / "baselines", name="own")
    assert not (tmp_path / "baselines").exists()


@pytest.mark.parametrize("name", ["my_llava", "llava-1.5-7b", ".hidden", "مدل"])
def test_an_ordinary_name_is_taken(tmp_path, name):
    run = write_made_up_run(tmp_path / "run")
    assert (bless(run, tmp_path / "baselines", name=name) / "values" / "results.json").is_file()


def test_an_observation_is_kept_with_its_number_and_asks_for_no_images(tmp_path):
    row = made_up_row(
        verdict="report", expected="report", threshold="", test="suites/test_own.py::test_share"
    )
    run = write_made_up_run(tmp_path / "run", rows=[row])
    folder = bless(run, tmp_path / "baselines", name="own")
    assert read_values(folder / "values").verdicts == {(row.id, row.task): "report"}
    entry = read_entries(folder / "test_own.json")["test_share"]
    assert (entry["verdict"], entry["estimate"]) == ("report", row.estimate)
    assert not list(differences(entry_of(row, conditions=""), entry | {"conditions": ""}))
    moved = entry_of(replace(row, estimate=-0.1), conditions="")
    assert [line.split(":")[0] for line in differences(moved, entry)] == ["estimate"]
