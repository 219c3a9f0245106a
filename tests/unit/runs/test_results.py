"""results.json and its published schema."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from mmflow_bench.runs.results import SCHEMA_FILE, Results, TaskResult, results_of, schema_text
from mmflow_bench.runs.rows import MechanismRow

ROW = MechanismRow(
    model="m",
    test="t",
    id="q-last-drop",
    task="ChooseAttr",
    verdict="holds",
    expected="holds",
    outcome="passed",
)


def results(**changes):
    facts = {"checkpoint": {"name": "m", "source": "m", "device": "cpu"}, "tasks": {}}
    given = {"run_id": "r", "created": "2026-01-01T00:00:00+00:00"}
    given |= {"facts": facts, "settings": {}, "environment": {}}
    return results_of([ROW], **given | changes)


def test_the_published_schema_is_current():
    assert SCHEMA_FILE.read_text() == schema_text()


def test_what_is_written_can_be_read():
    assert Results.model_validate_json(results().as_json()) == results()


def test_the_contract_is_kept():
    content = json.loads(results().as_json())
    assert content.keys() >= {
        *("schema_version", "run_id", "created", "checkpoint", "data", "settings"),
        *("environment", "mechanisms", "summary"),
    }
    assert content["checkpoint"].keys() == {
        *("name", "source", "revision", "fingerprint", "family", "decoder_layers", "dtype"),
        *("attention", "as"),
    }
    assert content["mechanisms"][0].keys() >= {
        *("id", "task", "verdict", "expected", "outcome", "estimate", "low", "high", "unit"),
        *("threshold", "n", "images", "tier", "qualifier", "citation", "seconds"),
    }
    assert content["summary"] == {"holds": 1}


def test_a_verdict_of_ones_own_invention_is_refused():
    text = results().as_json().replace('"holds"', '"confirmed"')
    with pytest.raises(ValidationError):
        Results.model_validate_json(text)


@pytest.mark.parametrize(
    "wrong",
    [{"missing": "<script>"}, {"seen": 0.0}, {"seen": 1.5}, {"of": -1}, {"of": 2}],
    ids=str,
)
def test_an_order_that_cannot_be_is_refused(wrong):
    order = {"of": 9, "seen": 0.5, "missing": "~", "looks": 3}
    task = {"selected": 6, "correct": 5}
    assert TaskResult(**task, order=order).order is not None
    with pytest.raises(ValidationError):
        TaskResult(**task, order=order | wrong)
