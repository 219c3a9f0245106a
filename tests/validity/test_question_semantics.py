"""Rows on what the question says: each holds where that is written, and fails where it is not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from forked import run_module

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
MODULES = ("mod-mlp-gt-mhat", "mod-mlp-first", "mod-mlp-last", "mod-mhat-first", "mod-mhat-last")
ROWS = (*MODULES, "mod-mono", "jac-imgq-low")
HOLDS, FAILS = "holds", "fails"
CASES = {
    # Neither reads an answer there: nothing is said, and nothing can be lost.
    "planted/base": dict.fromkeys(ROWS, "not-applicable"),
    # Written from the word itself: the image has no part in it.
    "planted/layered-codebook": {**dict.fromkeys(ROWS, HOLDS), "jac-imgq-low": FAILS},
    "planted/attention-codebook": {
        **dict.fromkeys(MODULES, FAILS),
        "mod-mono": HOLDS,
        "jac-imgq-low": FAILS,
    },
    "planted/growing-codebook": {
        **dict.fromkeys(ROWS, FAILS),
        "mod-mlp-gt-mhat": HOLDS,
    },
    # In one layer: later windows lose nothing at all.
    "planted/module-codebook": {
        **dict.fromkeys(("mod-mlp-first", "mod-mlp-last", "mod-mhat-first"), FAILS),
        "mod-mhat-last": HOLDS,
    },
    "planted/image-codebook": {"jac-imgq-low": HOLDS},
}


@pytest.mark.parametrize("name", CASES)
def test_every_row_holds_and_fails_where_it_should(name: str, tmp_path: Path) -> None:
    expected = CASES[name]
    run_module(
        "pytest",
        [
            *("suites/", "-q", "-p", "no:cacheprovider", "-p", "many_images"),
            *(f"--model={name}", "--limit=1", f"--mechanisms={','.join(expected)}"),
            *("--suite=paper", f"--mmflow-output={tmp_path / 'runs'}"),
        ],
        cwd=ROOT,
        env=os.environ
        | {
            "MMFLOW_CACHE": str(tmp_path / "cache"),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'builders'}",
        },
    )
    (path,) = (tmp_path / "runs").glob("*/results.json")
    rows = json.loads(path.read_text())["mechanisms"]
    assert {row["id"]: row["verdict"] for row in rows} == expected
