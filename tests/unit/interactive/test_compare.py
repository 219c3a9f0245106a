"""`mm.compare` is the gate: its decision is that of `mmflow compare` on the same runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import mmflow_bench as mm
from mmflow_bench.cli.main import main
from mmflow_bench.errors import BaselineError, SelectionError
from mmflow_bench.interactive.run import Run

MECHANISMS = ("q-last-drop", "acc-95")


@pytest.mark.slow
@pytest.mark.parametrize("other", ["planted/base", "planted/direct"])
def test_the_decision_is_that_of_the_command(cache: Path, tmp_path: Path, other: str) -> None:
    def opened(name: str) -> Run:
        return mm.open(name, tasks=["ChooseAttr"], limit=4, cache=cache, twins=False)

    base, tuned = opened("planted/base"), opened(other)
    found = mm.compare(base, tuned, *MECHANISMS)
    folders = [str(run.save(tmp_path / name)) for name, run in (("a", base), ("b", tuned))]
    told = CliRunner().invoke(main, ["compare", *folders, "--json"])
    assert json.loads(told.stdout) == json.loads(found.comparison.as_json())
    assert found.passed == (told.exit_code == 0)
    assert found.gate.line in told.stderr
    assert bool(found.comparison.changed or found.comparison.lost) == (other == "planted/direct")
    assert mm.compare(mm.read(folders[0]), folders[1]).comparison == found.comparison
    assert len(found.to_frame()) == len(found.rows)
    assert "gate:" in found._repr_html_()


def test_runs_of_other_experiments_are_refused(cache: Path) -> None:
    one, other = (
        mm.open("planted/mini", tasks=["ChooseAttr"], limit=2, cache=cache, twins=False, window=w)
        for w in (3, 5)
    )
    found = mm.compare(one, other, "q-last-drop")
    assert not found.passed
    assert any("window" in reason for reason in found.why)


def test_what_cannot_be_compared_is_said(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="the same one twice"):
        mm.compare(run, run)
    with pytest.raises(ValueError, match="--tolerance takes"):
        mm.compare(run, tmp_path, tolerance="much")
    with pytest.raises(ValueError, match="fail_on takes"):
        mm.compare(run, tmp_path, fail_on="anything")
    with pytest.raises(BaselineError, match="got neither"):
        mm.compare(tmp_path, run, "q-last-drop")
