"""Mechanisms decided without pytest: what `pytest suites/` says of the same samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mmflow_bench as mm
from mmflow_bench.errors import MechanismError, NoComparison, SelectionError, StoreError
from mmflow_bench.interactive.run import Run

ROOT = Path(__file__).parents[3]
SELECTED = "imgq-*,q-last-*"
COMPARED = (
    "id", "task", "verdict", "expected", "outcome", "estimate", "low", "high", "threshold", "n",
    "images", "qualifier", "tier", "name", "p_value", "reason",
)  # fmt: skip


@pytest.mark.slow
def test_verdicts_equal_those_of_pytest(cache: Path, tmp_path: Path) -> None:
    given = ["--model=planted/base", "--tasks=ChooseAttr", f"--mechanisms={SELECTED}", "--limit=4"]
    kept = [f"--mmflow-cache={cache}", f"--mmflow-output={tmp_path}", "--gate=none"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "suites",
        *given,
        *kept,
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    subprocess.run(command, cwd=ROOT, check=False, capture_output=True)
    (folder,) = tmp_path.iterdir()
    pytests = mm.read(folder)
    run = mm.open("planted/base", tasks=["ChooseAttr"], limit=4, cache=cache, from_cache=True)
    own = run.verdicts(*SELECTED.split(","))

    def told(rows):
        return [tuple(getattr(row, name) for name in COMPARED) for row in rows]

    assert len(own) > 4
    assert told(own) == told(pytests.rows)
    assert not own.errors
    # And what a run leaves is what a run of pytest leaves.
    saved = mm.read(run.save(tmp_path / "own"))
    assert saved.curves == pytests.curves
    assert saved.record.answers == pytests.record.answers
    assert saved.record.results.experiment == pytests.record.results.experiment
    assert (
        saved.record.results.settings["conditions"]
        == (pytests.record.results.settings["conditions"])
    )


def test_verdicts_are_a_table(run: Run) -> None:
    found = run.verdicts("imgq-drop", "q-last-drop")
    frame = found.to_frame()
    assert list(frame["id"]) == [row.id for row in found]
    assert "q-last-drop" in str(found)
    assert "<table>" in found._repr_html_()
    assert found.of("q-last-drop", "ChooseAttr").verdict in {"holds", "inconclusive"}
    with pytest.raises(KeyError, match="q-last-drop on ChooseAttr"):
        found.of("q-last-drop", "QueryAttr")


def test_names_that_select_nothing_are_said(run: Run) -> None:
    with pytest.raises(SelectionError, match="q-last-drop"):
        run.verdicts("q-last-dorp")
    with pytest.raises(SelectionError, match="a suite"):
        run.verdicts(suite="everything")


def test_wrong_answers_are_no_ground_for_verdicts(cache: Path, tmp_path: Path) -> None:
    run = mm.open("planted/mini", tasks=["ChooseAttr"], limit=2, cache=cache, keep_incorrect=True)
    for refused in (lambda: run.verdicts("q-last-drop"), lambda: run.save(tmp_path / "run")):
        with pytest.raises(SelectionError, match="keep_incorrect"):
            refused()


OWN = '''
import pytest

@pytest.mark.mechanism("own-drop")
@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_drop(flow, task):
    """The last position reads the question."""
    assert flow("question -> last", task).peak <= -0.1

def test_skipped(flow):
    """Nothing."""
    pytest.skip("not today")

def test_broken(flow):
    """Nothing."""
    raise KeyError("gone")
'''


def test_mechanisms_of_ones_own_are_decided(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "test_own.py"
    file.write_text(OWN)
    found = run.verdicts(suites=[file])
    assert [(row.id, row.task) for row in found] == [("own-drop", "ChooseAttr")]
    assert found.errors == {"test_skipped": "Skipped: not today", "test_broken": "KeyError: 'gone'"}
    assert "no verdict: test_broken" in str(found)


def test_tests_that_are_no_mechanisms_are_said(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "test_own.py"
    file.write_text('def test_bare(flow):\n    """Nothing."""\n    assert True\n')
    with pytest.raises(NoComparison, match="a comparison of an estimate"):
        run.verdicts(suites=[file])
    file.write_text('def test_more(flow, tmp_path):\n    """Nothing."""\n')
    with pytest.raises(MechanismError, match="tmp_path"):
        run.verdicts(suites=[file])
    file.write_text(
        OWN.replace('["ChooseAttr", "QueryAttr"]', '["QueryAttr"]').split("def test_sk")[0]
    )
    with pytest.raises(SelectionError, match="got some that are decided on QueryAttr"):
        run.verdicts(suites=[file])


def test_without_assertions_nothing_is_decided(cache: Path) -> None:
    program = (
        "import mmflow_bench as mm\n"
        f"run = mm.open('planted/mini', tasks=['ChooseAttr'], limit=4, cache={str(cache)!r})\n"
        "run.verdicts('q-last-drop')"
    )
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True)
    assert done.returncode != 0
    assert "Python with assertions" in done.stderr


def test_a_run_is_saved_once_and_read_again(run: Run, tmp_path: Path) -> None:
    run.verdicts("q-last-drop")
    read = mm.read(run.save(tmp_path / "run"))
    curve = run.flow("question -> last", "ChooseAttr")
    assert read.flow("question -> last", "ChooseAttr").mean == curve.mean
    assert read.flow("question -> last", "ChooseAttr").peak.value == curve.peak.value
    assert "q-last-drop" in {row.id for row in read.rows}
    with pytest.raises(StoreError, match="a folder without a run"):
        run.save(tmp_path / "run")
