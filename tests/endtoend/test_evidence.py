"""No verdict without evidence: what a run writes down has a number, or says why it has none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from forked import run_module

SUITES = Path(__file__).parents[2] / "suites"


@pytest.mark.slow
def test_every_row_of_a_run_has_an_estimate_or_a_reason(tmp_path: Path) -> None:
    # Nothing flows from image to question there, so that many places are not defined.
    done = run_module(
        "pytest",
        [
            *(str(SUITES), "-q", "-p", "no:cacheprovider"),
            *("--model=planted/direct", "--tasks=ChooseAttr", "--limit=1-3", "--no-self-test"),
            *("--no-twins", "--gate=none", f"--mmflow-output={tmp_path / 'runs'}"),
        ],
        env=os.environ | {"MMFLOW_CACHE": str(tmp_path / "cache")},
        cwd=SUITES.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("runs/*/results.json")
    rows = json.loads(path.read_text())["mechanisms"]
    assert len(rows) > 30
    assert any(row["estimate"] is None for row in rows)
    without = [row["id"] for row in rows if row["estimate"] is None and not row["reason"]]
    assert not without
    decided = [row for row in rows if row["verdict"] in {"holds", "fails"}]
    assert {row["verdict"] for row in decided} == {"holds", "fails"}
