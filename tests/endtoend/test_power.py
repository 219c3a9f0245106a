"""`mmflow power` before a run: a pilot through the real command, which leaves its work behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mmflow_bench.cli.main import main
from mmflow_bench.statistics.unseen import images_to_show, unseen_share


def planned(cache: Path, *arguments: str) -> Result:
    given = ["--model=planted/base", f"--mmflow-cache={cache}", "--pilot=4", "--tasks=ChooseAttr"]
    chosen = "--mechanisms=acc-95,q-last-drop,rel-dom-2"
    return CliRunner().invoke(main, ["power", *given, chosen, *arguments])


@pytest.mark.slow
def test_a_pilot_says_what_each_row_needs_and_is_measured_once(tmp_path: Path) -> None:
    cache = tmp_path / "store"
    against = planned(cache, "--baseline=planted/no-stage-2", "--json")
    assert against.exit_code == 0, against.output
    told = json.loads(against.stdout)
    rows = {row["id"]: row for row in told["rows"]}
    assert {row["verdict"] for row in rows.values()} == {"undecided"}
    # The second drop is gone from one of them: its difference points to another verdict.
    assert "needs about" in rows["q-last-drop"]["reason"]
    assert rows["rel-dom-2"]["reason"] != rows["q-last-drop"]["reason"]
    # These checkpoints hardly vary, so that what images that agree can show decides.
    scale = rows["q-last-drop"]["images"] / rows["q-last-drop"]["used"]
    fewest = images_to_show(0.1, alpha=0.05)
    assert fewest * scale <= rows["q-last-drop"]["needs"] <= 1.2 * fewest * scale
    assert rows["acc-95"]["needs"] == images_to_show(0.05, alpha=0.05)
    assert told["needs"] >= min(row["needs"] for row in told["rows"] if row["needs"])
    seen = unseen_share(rows["q-last-drop"]["used"], alpha=0.05)
    assert rows["q-last-drop"]["could_see"] == pytest.approx(seen)
    # The same pilot from the store, of one of the two by itself.
    alone = planned(cache, "--from-cache")
    assert alone.exit_code == 0, alone.output
    assert alone.stdout.splitlines()[-1].endswith("beside a threshold")
    assert not list(tmp_path.glob("*/runs"))


@pytest.mark.slow
def test_a_pilot_that_cannot_be_measured_says_why(tmp_path: Path) -> None:
    found = planned(tmp_path, "--from-cache")
    assert found.exit_code == 2
    assert "Traceback" not in found.output
    assert "a store that holds everything asked for" in found.stderr
