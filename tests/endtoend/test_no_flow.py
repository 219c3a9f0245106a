"""Where nothing flows, no statement about where it flows holds, and every row says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from forked import run_module

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HELD = {
    # Of the answers, of what is absent, and of the last position, which reads the image itself.
    *("acc-95", "last-last-null", "lens-lower-rise", "lens-lower-20-70", "lens-lower-mid"),
    *("lens-lower-fall", "lens-upper-late", "lens-order", "lens-false"),
    *("causal-noop", "lens-final-consistency", "noise-floor"),
    # Of the questions, which nobody answers without their image.
    "ds-blind",
}
"""What holds of a checkpoint whose question carries nothing from the image."""


def test_no_place_holds_where_nothing_flows_and_every_row_has_a_number_or_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests' / 'builders'}")
    run_module(
        "pytest",
        [
            *("suites/", "-p", "no:cacheprovider"),
            *("-p", "many_images", "--model=planted/direct", "--tasks=ChooseAttr", "--limit=1-3"),
            *("--no-twins", "--no-self-test", f"--mmflow-output={tmp_path}"),
        ],
        cwd=ROOT,
    )
    (path,) = tmp_path.glob("*/results.json")
    rows = json.loads(path.read_text())["mechanisms"]
    assert {row["id"] for row in rows if row["verdict"] == "holds"} == HELD
    for row in rows:
        assert row["reason"] or row["estimate"] is not None, row
        if row["verdict"] in ("holds", "fails"):
            assert row["low"] is not None, row
