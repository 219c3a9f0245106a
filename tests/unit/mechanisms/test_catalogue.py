"""Every mechanism that the paper or the literature names is declared, or says why it is not."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from mmflow_bench.cli.main import main
from mmflow_bench.mechanisms.catalogue import WITHOUT_A_TEST
from mmflow_bench.mechanisms.declared import shipped
from mmflow_bench.names import matches

CATALOGUE = Path(__file__).parents[2] / "data" / "catalogue.txt"


def catalogue() -> list[str]:
    lines = CATALOGUE.read_text(encoding="utf-8").splitlines()
    return [name for line in lines if not line.startswith("#") for name in line.split()]


def declared() -> set[str]:
    return {test.declaration.id for test in shipped()}


def test_every_mechanism_is_declared_or_says_why_not():
    known = declared()
    missing = {
        name
        for name in catalogue()
        if name not in WITHOUT_A_TEST and not any(matches(one, [name]) for one in known)
    }
    assert not missing


def test_a_reason_is_given_for_what_is_named_and_not_declared_alone():
    assert set(WITHOUT_A_TEST) <= set(catalogue())
    assert not set(WITHOUT_A_TEST) & declared()
    assert len(set(catalogue())) == len(catalogue())
    assert all(len(why.split()) > 10 for why in WITHOUT_A_TEST.values())


def listed(*arguments: str) -> dict[str, dict]:
    output = CliRunner().invoke(main, ["ls", "mechanisms", "--json", *arguments]).output
    return {row["id"]: row for row in json.loads(output)}


def test_the_listing_has_all_of_them_with_suite_tier_and_tasks(tmp_path):
    rows = listed()
    assert set(rows) == declared() | set(WITHOUT_A_TEST)
    assert rows["q-last-drop"]["suite"] == "core"
    assert rows["ds-15-groups"]["suite"] == "none"
    assert WITHOUT_A_TEST["ds-15-groups"] in rows["ds-15-groups"]["statement"]
    assert all(row["tier"] and row["tasks"] for row in rows.values() if row["suite"] != "none")
    file = tmp_path / "test_own.py"
    file.write_text(
        "import pytest\n"
        '@pytest.mark.mechanism("own", suite="paper")\n'
        'def test_own(flow):\n    """It is so."""\n'
    )
    assert {name: row["suite"] for name, row in listed(str(file)).items()} == {"own": "paper"}
    assert not listed("--suite=core", str(file))
    assert set(listed("--suite=paper", str(file))) == {"own"}


def test_a_listing_of_a_suite_leaves_wider_ones_out():
    assert all(row["suite"] == "core" for row in listed("--suite=core").values())
