"""What a run leaves behind: JUnit properties, results.json, tables; or a clear complaint."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree

import pyarrow.parquet as pq
import pytest

from mmflow_bench.runs.reading import read_run


def test_junit_carries_the_numbers_of_each_mechanism(run, project):
    run_result = run("--junit-xml=junit.xml", "-W", "error::pytest.PytestWarning")
    assert run_result.ret == 0
    cases = ElementTree.parse(project.path / "junit.xml").getroot().iter("testcase")
    for case in cases:
        named = {p.get("name"): p.get("value") for p in case.iter("property")}
        assert named["mmflow.verdict"] == "holds"
        assert float(named["mmflow.low"]) < float(named["mmflow.estimate"]) < -0.3
        assert len(named["mmflow.run_id"]) == 32


def test_the_run_folder_holds_results_mechanisms_and_samples(project):
    run_result = project.runpytest_inprocess("--mmflow-output=kept")
    assert run_result.ret == 0
    (folder,) = (project.path / "kept").iterdir()
    assert folder.name.split("-")[1] == "planted_base"
    results = read_run(folder).results
    assert results.summary == {"holds": 4}
    mechanisms = pq.read_table(folder / "mechanisms.parquet").to_pylist()
    images = len(set(pq.read_table(folder / "samples.parquet")["image_id"].to_pylist()))
    assert {(row.n, row.images) for row in results.mechanisms} == {(40, images)}
    run_result.stdout.fnmatch_lines([f"*ChooseAttr*holds* 40/{images} *"])
    assert [row["id"] for row in mechanisms] == [row.id for row in results.mechanisms]
    assert len(mechanisms[0]["curve"]) == 12
    samples = pq.read_table(folder / "samples.parquet").to_pylist()
    keys = {(row["task"], row["edge"], row["question_id"]) for row in samples}
    assert len(keys) == 2 * 2 * 40


@pytest.mark.parametrize("output", ["a-file", "a-file/below", "/dev/null", "a" * 300])
def test_a_run_folder_that_cannot_be_made_is_refused_before_anything_is_measured(project, output):
    (project.path / "a-file").write_text("a file where a folder should be")
    run_result = project.runpytest_inprocess(f"--mmflow-output={output}")
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stderr.fnmatch_lines(["ERROR: a folder for results that can be written, got *"])
    assert not (project.path / "ensured.jsonl").exists()
    assert project.runpytest_inprocess(f"--mmflow-output={output}", "--collect-only").ret == 0


FULL = """
import os
from pathlib import Path

_replace = os.replace

def replace(source, target):
    if Path(target).name.endswith({!r}):
        raise OSError(28, "No space left on device")
    _replace(source, target)

os.replace = replace
"""
ARTEFACTS = {
    "results.json": "results of planted_base were not kept",
    "mechanisms.parquet": "results of planted_base were not kept",
    "samples.parquet": "results of planted_base were not kept",
    ".part": "samples of planted_base were not kept",
    "comparison.json": "the comparison was not kept",
    "gate.json": "the gate's decision was not kept",
    "report.html": "--report=html of planted_base was not written",
    "summary.md": "--report=md of planted_base was not written",
    "junit.xml": "--report=junit of planted_base was not written",
}


@pytest.mark.parametrize(
    ("name", "gate"), [("report.html", "none"), *((name, "mechanisms") for name in ARTEFACTS)]
)
def test_a_full_disk_fails_the_run_and_keeps_what_it_can(project, monkeypatch, name, gate):
    replace = os.replace

    def full(source, target):
        if os.fspath(target).endswith(name):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    reports = "md,junit,html" if name == "report.html" else "md,junit"
    chosen = (f"--gate={gate}", f"--report={reports}", "--mmflow-output=kept")
    if name == "comparison.json":
        chosen = (*chosen, "--baseline=planted/mini")
    run_result = project.runpytest_inprocess(*chosen)
    assert run_result.ret == 1
    run_result.assert_outcomes(passed=4)
    run_result.stdout.fnmatch_lines(["4 verdicts: 4 holds"])
    run_result.stdout.fnmatch_lines([f"{ARTEFACTS[name]}*No space left on device*"])
    if gate != "none":
        run_result.stdout.fnmatch_lines([f"gate (mechanisms): failed: *{ARTEFACTS[name]}*"])
    (folder,) = (project.path / "kept").iterdir()
    left = {path.name for path in folder.iterdir()}
    assert not [path for path in left if path.endswith(".tmp")]
    if name != "results.json":
        is_whole = name not in {"mechanisms.parquet", "samples.parquet", ".part"}
        assert read_run(folder).results.complete is is_whole
        assert {"results.json", "junit.xml", "summary.md"} - left <= {name}


@pytest.mark.slow
def test_workers_say_what_they_cannot_keep(project, results):
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + FULL.format(".part"))
    run_result = project.runpytest_subprocess("-n", "2")
    assert run_result.ret == 1
    run_result.stdout.fnmatch_lines(["samples of planted_base were not kept: *No space left*"])
    assert results()["complete"] is False
    refused = project.runpytest_subprocess("-n", "2", "--mmflow-output=conftest.py")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stdout.fnmatch_lines(["ERROR: a folder for results that can be written, got *"])


def test_a_step_summary_that_cannot_be_written_fails_the_run(project, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path))
    run_result = project.runpytest_inprocess("--report=github")
    assert run_result.ret == 1
    run_result.stdout.fnmatch_lines(["--report=github of planted_base was not written: *"])


def test_nothing_is_coloured_under_no_color(project, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    run_result = project.runpytest_subprocess()
    assert "\x1b[" not in run_result.stdout.str()


MISTAKEN = """
import pytest

@pytest.mark.mechanism("mistaken")
def test_mistaken(flow):
    "The code breaks."
    assert flow("image -> question", "ChooseAttr").no_such_thing <= 0
"""


def test_tables_come_first_and_only_mistakes_have_a_traceback(run, project, behave):
    behave(drops={})
    project.makepyfile(test_mistaken=MISTAKEN)
    result = run("-k", "ChooseAttr or mistaken", "--junit-xml=junit.xml")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "*= mmflow: information flow =*",
            "  ChooseAttr   * fails *",
            *("*= FAILURES =*", "*_ test_mistaken*", "E *AttributeError: *no_such_thing*"),
            "FAILED test_suite.py::test_question_to_last_drops*",
            "2 failed by what the table says; --tb=short shows the lines",
            "gate (mechanisms): failed: *",
        ]
    )
    shown = result.stdout.str()
    assert shown.count("E  ") == 1
    assert "array(" not in shown
    failures = ElementTree.parse(project.path / "junit.xml").getroot().iter("failure")
    said = [str(failure.text) for failure in failures]
    assert sum(len(text.splitlines()) == 1 for text in said) == 2
    assert sum(text.startswith("assert peak of ") and "<= -0.1" in text for text in said) == 2


def test_what_was_said_wrongly_stands_below_the_verdicts(run, behave):
    name = {"task": "ChooseAttr", "question_id": "1", "image_id": "1"}
    answer = {"is_correct": False, "prediction": "blue", "sample": "s"}
    about = {"question": "Which color?", "answer": "red"}
    behave(answered=[name | answer], described=[name | about], correct=38)
    line = 'ChooseAttr: 1 answered wrongly: "Which color?" red, said blue'
    result = run()
    result.stdout.fnmatch_lines(["  ChooseAttr   * holds *", line, "4 verdicts: 4 holds"])
    assert result.stdout.str().count("answered wrongly") == 1


@pytest.mark.parametrize("option", ["--tb=short", "--tb=long", "--showlocals"])
def test_whoever_asks_for_it_is_shown_the_assertion_and_the_curve(project, behave, option):
    behave(drops={})
    run_result = project.runpytest_inprocess("-k", "ChooseAttr", option)
    run_result.assert_outcomes(failed=2, deselected=2)
    run_result.stdout.fnmatch_lines(["E *assert peak of *<= -0.1*", "*mmflow curve by layer*"])
    assert "--tb=short" not in run_result.stdout.str()


@pytest.mark.parametrize("method", ["holm", "bh"])
def test_a_correction_is_reported_and_leaves_what_survives_it(project, results, method):
    run_result = project.runpytest_inprocess(f"--multiplicity={method}")
    run_result.assert_outcomes(passed=4)
    run_result.stdout.fnmatch_lines(
        [f"--multiplicity={method}: 4 of 4 verdicts survive over 4 tested rows at alpha 0.05*"]
    )
    assert results()["summary"] == {"holds": 4}


BARELY = -0.016
"""A drop that 40 images show to be less than a tenth at p = 0.03, but not twice."""


def test_a_verdict_that_does_not_survive_is_withdrawn_everywhere(run, project, behave, results):
    behave(drops={"question->last": BARELY, "image->question": -0.5})
    assert project.runpytest_inprocess().ret == 1
    result = run("--multiplicity=holm", "--report=junit")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*2 passed, 2 inconclusive*"])
    result.stdout.no_fnmatch_line("*FAILURES*")
    kept = results()
    assert kept["summary"] == {"holds": 2, "inconclusive": 2}
    withdrawn = [row for row in kept["mechanisms"] if row["verdict"] == "inconclusive"]
    assert {row["outcome"] for row in withdrawn} == {"inconclusive"}
    assert all("does not survive holm over 4 tested" in row["reason"] for row in withdrawn)
    paths = project.path.glob(".mmflow/runs/*/junit.xml")
    assert "does not survive holm" in max(paths, key=lambda p: p.stat().st_mtime_ns).read_text()
    strict = run("--multiplicity=holm", "--inconclusive=fail")
    assert strict.ret == 1
    strict.assert_outcomes(passed=2, failed=2)
