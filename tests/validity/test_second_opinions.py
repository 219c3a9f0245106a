"""The second opinion is right where a masked knockout alone is fooled."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from forked import run_module

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
REAL = {"imgq-drop2": ("holds", "confirmed-by-counterfactual")}
CASES = {
    "planted/base": {
        "imgq-drop1": ("holds", "confirmed-by-counterfactual"),
        "oth-dom-1": ("holds", "confirmed-by-counterfactual"),
        **REAL,
    },
    # The image absorbs attention and says nothing: the drop is what others say in its place.
    "planted/sink-trap": {"imgq-drop1": ("holds", "renormalisation-artefact"), **REAL},
    # What the first head misses the second one reads: the flow is there and no knockout shows it.
    "planted/backup-head": {
        "imgq-drop1": ("fails", "knockout-only"),
        "oth-dom-1": ("fails", "knockout-only"),
        **REAL,
    },
}


@pytest.mark.parametrize("name", CASES)
def test_the_qualifier_tells_flows_from_artefacts(name: str, tmp_path: Path) -> None:
    run_module(
        "pytest",
        [
            *("suites/", "-q", "-p", "no:cacheprovider"),
            *("-p", "many_images", f"--model={name}", "--tasks=ChooseAttr", "--limit=2"),
            *(f"--mechanisms={','.join(CASES[name])}", f"--mmflow-output={tmp_path / 'runs'}"),
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
    said = {row["id"]: (row["verdict"], row["qualifier"].split(", ")[-1]) for row in rows}
    assert said == CASES[name]
