"""Where a baseline is written to, whatever the run calls its checkpoint."""

from __future__ import annotations

import pytest
from run_folders import made_up_row, write_made_up_run

from mmflow_bench.baselines.blessing import bless
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
