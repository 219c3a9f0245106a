"""`--follow=reference`: all samples, whether they are answered correctly or not."""

from __future__ import annotations

import json

import pytest

REFERENCE = "--follow=reference"


@pytest.fixture(autouse=True)
def _half_right(project):
    (project.path / "behaviour.json").write_text(json.dumps({"all": {"correct": 20}}))


def newest(project, name):
    paths = project.path.glob(f".mmflow/runs/*/{name}")
    return json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())


def test_a_task_that_is_not_mastered_has_no_verdict_on_the_checkpoint_s_own_answers(run, project):
    run()
    results = newest(project, "results.json")
    assert results["summary"] == {"precondition-failed": 4}
    assert results["experiment"]["follow"] == "answer"


def test_it_has_one_on_the_reference_answer_and_the_run_says_so(run, project):
    result = run(REFERENCE)
    result.stdout.fnmatch_lines(["*--follow=reference*"])
    results = newest(project, "results.json")
    assert results["summary"] == {"holds": 4}
    assert {row["n"] for row in results["mechanisms"]} == {40}
    assert results["experiment"]["follow"] == "reference"
    assert results["settings"]["follow"] == "reference"
    assert all(task["correct"] == 20 for task in results["data"]["tasks"].values())


def test_the_gate_compares_all_samples_of_it(run, project):
    result = run("--model=planted/base", "--baseline=planted/mini", REFERENCE)
    result.stdout.fnmatch_lines(["*paired on the reference answer*", "gate (regression): passed"])
    assert result.ret == 0
    comparison = newest(project, "comparison.json")
    assert comparison["follow"] == "reference"
    assert {row["n"] for row in comparison["rows"]} == {40}


def test_the_ini_file_may_say_it(project):
    ini = (project.path / "tox.ini").read_text()
    (project.path / "tox.ini").write_text(ini.rstrip() + "\nmmflow_follow = reference\n")
    assert project.runpytest_inprocess().ret == 0
    assert newest(project, "results.json")["summary"] == {"holds": 4}


def test_a_baseline_of_verdicts_is_refused(project):
    result = project.runpytest_inprocess("--baseline=paper/llava-1.5-13b", REFERENCE)
    result.stdout.fnmatch_lines(["*not comparable*--follow=reference*"])
    assert result.ret == 1


def test_golden_verdicts_on_own_answers_are_other_conditions(project):
    project.runpytest_inprocess("--snapshot-update")
    project.runpytest_inprocess(REFERENCE)
    states = {row["baseline"] for row in newest(project, "results.json")["mechanisms"]}
    assert states == {"other-conditions"}
