"""`mmflow prune-plan`: chosen on some images, tried on others, and said in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mmflow_bench.cli.main import main
from mmflow_bench.planted import closed_form


def planned(cache: Path, *arguments: str) -> Result:
    given = [f"--mmflow-cache={cache}", "--no-self-test", "--repeats=1", "--margin=0.45"]
    return CliRunner().invoke(main, ["prune-plan", *given, *arguments])


@pytest.mark.slow
def test_late_readers_lose_their_image_late_and_what_is_not_related_early(tmp_path: Path) -> None:
    """Context is read at layer 21 and objects at 23, and either is enough for an answer."""
    output = tmp_path / "plan.json"
    few = ["--model=planted/prune-unsafe", "--tasks=ChooseAttr", "--limit=12"]
    found = planned(tmp_path / "store", *few, f"--output={output}", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told == json.loads(output.read_text())
    whole, split = told["outcomes"]
    assert whole["layers"] == {"image": 25}
    assert split["layers"] == {"unrelated": 5, "image": 25}
    for outcome in (whole, split):
        assert outcome["verdict"] == "holds"
        assert outcome["images"] == 6 == told["images"]
        assert outcome["after"]["accuracy"] == 1.0
        for cost in ("operations", "cache_bytes"):
            assert outcome["after"][cost] < outcome["before"][cost]
        assert min(outcome[side]["seconds"] for side in ("before", "after")) > 0
    assert split["after"]["cache_bytes"] < whole["after"]["cache_bytes"]
    assert not any(
        step["is_safe"]
        for step in told["steps"]
        if step["layer"] <= 20 and step["removed"] == "image"
    )
    assert closed_form.without_image_from("planted/prune-unsafe", 20) < 0.1


def test_a_plan_is_said_in_words(tmp_path: Path) -> None:
    found = planned(tmp_path, "--model=planted/mini", "--tasks=ChooseAttr", "--limit=12")
    assert found.exit_code == 0, found.output
    assert "the image can go from layer 2 on" in found.stdout
    assert "what is not related is not shown to be safe before the rest" in found.stdout
    assert "tried on 6 other images" in found.stdout
    assert "on these too: holds" in found.stdout


def test_where_no_layer_is_shown_to_be_safe_that_is_the_finding(tmp_path: Path) -> None:
    found = planned(tmp_path, "--model=planted/mini", "--tasks=ChooseAttr", "--limit=4", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["finding"] == "no layer is shown to be safe"
    assert told["outcomes"] == []
    assert "takes at least 6 images in either half" in told["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit=2"], "at least 4 images, half of them to hold out, got 2"),
        (["--limit=4", "--output=plan.csv"], "FILE.json, got plan.csv"),
        (["--limit=4", "--margin=2"], "from 0.001 to 0.5 (0.02 or 2%), got '2'"),
        (["--limit=4", "--from-cache"], "a store that holds everything asked for"),
        (["--model=planted/nobody"], "a registered name"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    asked = ["--model=planted/mini", "--tasks=ChooseAttr", *arguments]
    found = planned(tmp_path, *asked)
    assert found.exit_code == 2, found.output
    assert message in found.stderr
    assert "Traceback" not in found.output
