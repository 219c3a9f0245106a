"""What is written for others to read is what their own readers accept."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from run_folders import NASTY, made_up_row, write_made_up_run

from mmflow_bench.reports.leaderboard.board import Entry, board_of
from mmflow_bench.reports.leaderboard.exports import eval_results_yaml, every_eval_ever
from mmflow_bench.runs.reading import read_run


def entry_of(folder: Path, **values: object) -> Entry:
    return board_of([read_run(write_made_up_run(folder, **values))]).entries[0]


def test_the_hub_reads_a_percentage_for_the_whole_and_for_each_section(tmp_path):
    rows = [made_up_row(), made_up_row(task="B"), made_up_row(task="C", verdict="fails")]
    rows += [made_up_row(id="lens", section="Sec. 6", verdict="inconclusive")]
    text = eval_results_yaml(entry_of(tmp_path, rows=rows), benchmark="lab/flow")
    entries = parse_eval_result_entries(yaml.safe_load(text))
    assert [(one.task_id, one.value) for one in entries] == [
        ("all", 66.67),
        ("Sec._5,_into_the_last_position", 66.67),
    ]
    assert {one.dataset_id for one in entries} == {"lab/flow"}
    assert entries[0].date == "2026-01-02T03:04:05+00:00"
    assert entries[0].notes == "2 of 3 decided mechanisms hold, 4 asked"


def test_nothing_decided_is_an_empty_list(tmp_path):
    entry = entry_of(tmp_path, rows=[made_up_row(verdict="inconclusive")])
    assert yaml.safe_load(eval_results_yaml(entry)) == []


@pytest.mark.parametrize("words", NASTY, ids=range(len(NASTY)))
def test_the_hub_reads_any_words_as_they_are(tmp_path, words):
    entry = entry_of(tmp_path, rows=[made_up_row(section=words)])
    entries = parse_eval_result_entries(yaml.safe_load(eval_results_yaml(entry)))
    assert entries[1].task_id == "_".join(words.replace("'", "").split())


def test_a_record_has_a_score_with_its_interval_for_each_estimate(tmp_path):
    record = every_eval_ever(entry_of(tmp_path))
    assert record["schema_version"] == "0.3.0"
    assert record["evaluation_id"] == "mmflow-bench/made/up/1767323045"
    assert record["retrieved_timestamp"] == "1767323045"
    assert record["eval_library"] == {"name": "mmflow-bench", "version": "0.1.0"}
    assert len(record["evaluation_results"]) == 3
    first = record["evaluation_results"][0]
    assert first["score_details"]["score"] == -0.3
    assert first["score_details"]["uncertainty"] == {
        "confidence_interval": {
            "lower": -0.4,
            "upper": -0.2,
            "confidence_level": 0.95,
            "method": "bootstrap over images",
        },
        "num_samples": 4,
    }
    assert first["score_details"]["details"]["verdict"] == "holds"


def test_details_are_strings_as_the_schema_wants_them(tmp_path):
    record = every_eval_ever(entry_of(tmp_path))
    details = [
        record["model_info"]["additional_details"],
        record["source_metadata"]["additional_details"],
        *(one["score_details"]["details"] for one in record["evaluation_results"]),
        *(one["source_data"]["additional_details"] for one in record["evaluation_results"]),
    ]
    assert all(isinstance(value, str) for detail in details for value in detail.values())


@pytest.mark.real
def test_the_published_schema_accepts_a_record(tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    found = importlib.util.find_spec("every_eval_ever")
    if found is None or found.origin is None:
        pytest.skip("needs the package every-eval-ever, which brings the schema")
    path = Path(found.origin).parent / "schemas" / "eval.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(every_eval_ever(entry_of(tmp_path)), schema)
