"""What a run leaves behind: JUnit properties, results.json, tables; or a clear complaint."""

from __future__ import annotations

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


def test_a_run_folder_that_cannot_be_made_leaves_the_outcomes_alone(project):
    (project.path / "kept").write_text("a file where a folder should be")
    run_result = project.runpytest_inprocess("--mmflow-output=kept")
    run_result.assert_outcomes(passed=4)
    assert run_result.ret == 0
    run_result.stdout.fnmatch_lines(["results of planted_base were not kept: a run folder*"])


def test_nothing_is_coloured_under_no_color(project, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    run_result = project.runpytest_subprocess()
    assert "\x1b[" not in run_result.stdout.str()


def test_a_failed_assertion_shows_the_curve(project, behave):
    behave(drops={})
    run_result = project.runpytest_inprocess("-k", "ChooseAttr")
    run_result.assert_outcomes(failed=2, deselected=2)
    run_result.stdout.fnmatch_lines(["*mmflow curve by layer*"])


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
