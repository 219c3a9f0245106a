"""Baselines: written only when asked, compared within tolerance, never another model's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

OTHER = "--model=planted/mini"
FORMS = {
    "no path": [],
    "a folder": ["."],
    "a file": ["test_suite.py"],
    "a test": ["test_suite.py::test_question_to_last_drops"],
    "one instance": ["test_suite.py::test_question_to_last_drops[planted_base-ChooseAttr]"],
    "a keyword": ["-k", "question"],
    "a task": ["--tasks=ChooseAttr"],
    "a mechanism": ["--mechanisms=imgq-drop"],
}


def files(project: pytest.Pytester) -> dict[str, str]:
    root = project.path / "baselines"
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*.json")}


def stored(project: pytest.Pytester, model: str = "planted_base") -> dict:
    path = Path(project.path, "baselines", model, "test_suite.json")
    return json.loads(path.read_text())["baselines"]


WRITTEN: dict[str, str] = {}
"""What two updates have written: the same in every project, so that one of them does it."""


@pytest.fixture
def written(project: pytest.Pytester) -> dict[str, str]:
    """Baselines of two models."""
    if not WRITTEN:
        for model in ("planted/base", "planted/mini"):
            run_result = project.runpytest_inprocess(f"--model={model}", "--snapshot-update")
            run_result.assert_outcomes(passed=4)
        WRITTEN.update(files(project))
    for name, text in WRITTEN.items():
        path = project.path / "baselines" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return WRITTEN


@pytest.mark.parametrize("arguments", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("update", [[], ["--snapshot-update"]], ids=["compare", "update"])
def test_no_form_of_a_run_touches_what_it_has_not_measured(project, written, arguments, update):
    run_result = project.runpytest_inprocess("--model=planted/base", *arguments, *update)
    assert run_result.ret == 0
    assert files(project) == written


@pytest.mark.parametrize("update", [[], ["--snapshot-update"]], ids=["compare", "update"])
def test_workers_touch_nothing_else_either(project, written, update):
    run_result = project.runpytest_subprocess("-n", "2", OTHER, *update)
    assert run_result.ret == 0
    assert files(project) == written


@pytest.mark.parametrize("update", [[], ["--snapshot-update"]], ids=["compare", "update"])
def test_a_skipped_test_keeps_its_baseline(project, written, update):
    suite = project.path / "test_suite.py"
    suite.write_text(suite.read_text().replace("(flow, task):", "(flow, task):\n    skip()", 1))
    suite.write_text("def skip():\n    pytest.skip('today')\n" + suite.read_text())
    assert project.runpytest_inprocess(*update).ret == 0
    assert files(project) == written


def test_workers_write_one_file_together(project):
    run_result = project.runpytest_subprocess("-n", "2", "--snapshot-update")
    run_result.assert_outcomes(passed=4)
    assert len(stored(project)) == 4
    assert [path.name for path in (project.path / "baselines/planted_base").iterdir()] == [
        "test_suite.json"
    ]


def test_a_broken_run_deletes_nothing(project, written, behave):
    behave(broken="weights that can be read, got nothing")
    project.runpytest_inprocess("--snapshot-update")
    assert files(project) == written


def test_an_estimate_within_its_tolerance_is_not_rewritten(project, written, behave):
    behave(drops={"question->last": -0.405, "image->question": -0.5})
    run_result = project.runpytest_inprocess("--snapshot-update")
    assert run_result.ret == 0
    assert files(project) == written


@pytest.mark.usefixtures("written")
def test_an_estimate_that_moves_fails_with_both_numbers(project, results, behave):
    behave(drops={"question->last": -0.6, "image->question": -0.5})
    run_result = project.runpytest_inprocess()
    run_result.assert_outcomes(passed=2, failed=2)
    run_result.stdout.fnmatch_lines(["*estimate: baseline -0.4*received -0.6*(tolerance 0.0*"])
    rows = {row["id"]: row for row in results()["mechanisms"]}
    assert rows["q-last-drop"]["verdict"] == "holds"
    assert rows["q-last-drop"]["outcome"] == "failed"
    assert rows["q-last-drop"]["baseline"] == "drift"


def test_an_update_accepts_what_has_moved(project, written, behave):
    behave(drops={"question->last": 0.0, "image->question": -0.5})
    project.runpytest_inprocess("--snapshot-update").assert_outcomes(passed=2, xfailed=2)
    assert stored(project)["test_question_to_last_drops[ChooseAttr]"]["verdict"] == "fails"
    assert files(project)["planted_mini/test_suite.json"] == written["planted_mini/test_suite.json"]
    project.runpytest_inprocess().assert_outcomes(passed=2, xfailed=2)


@pytest.mark.usefixtures("written")
def test_other_samples_are_not_compared(project):
    run_result = project.runpytest_inprocess("--limit=3")
    assert run_result.ret == 0
    run_result.stdout.fnmatch_lines(["baseline: 4 of planted_base were made with other samples*"])


@pytest.mark.parametrize(
    ("policy", "outcomes"),
    [("new", {"passed": 4}), ("inconclusive", {"inconclusive": 4}), ("fail", {"failed": 4})],
)
def test_a_missing_baseline_is_what_the_policy_says(project, policy, outcomes):
    run_result = project.runpytest_inprocess(f"--baseline-missing={policy}")
    assert run_result.parseoutcomes() == outcomes
    run_result.stdout.fnmatch_lines(["baseline: none for 4 of 4 mechanisms of planted_base*"])


@pytest.mark.usefixtures("written")
def test_the_baseline_of_a_test_that_is_gone_is_an_orphan(project):
    suite = project.path / "test_suite.py"
    suite.write_text(suite.read_text().split('@pytest.mark.mechanism("imgq-drop")')[0])
    assert project.runpytest_inprocess().ret == 1
    assert project.runpytest_inprocess("--snapshot-update").ret == 0
    assert len(stored(project)) == 2
    assert len(stored(project, "planted_mini")) == 4


def test_flow_snapshot_compares_values_of_ones_own(project):
    (project.path / "test_suite.py").write_text(
        """
import json

def test_own(flow, flow_snapshot):
    peak = float(open("peak").read())
    assert flow_snapshot == {"peak": peak, "tolerance": 0.05}
"""
    )
    peak = project.path / "peak"
    peak.write_text("-0.30")
    assert project.runpytest_inprocess().ret == 1
    assert project.runpytest_inprocess("--snapshot-update").ret == 0
    peak.write_text("-0.33")
    assert project.runpytest_inprocess().ret == 0
    peak.write_text("-0.40")
    run_result = project.runpytest_inprocess()
    assert run_result.ret == 1
    run_result.stdout.fnmatch_lines(["*peak: baseline -0.3, received -0.4 (tolerance 0.05)*"])


def test_a_statement_across_tasks_is_not_compared_on_fewer_of_them(project):
    (project.path / "test_suite.py").write_text(
        "import pytest\n\n\n"
        '@pytest.mark.mechanism("img-last-null")\n'
        "def test_average(flow):\n"
        '    drops = [flow("question -> last", t).peak for t in ("ChooseAttr", "QueryAttr")]\n'
        "    assert all(drop <= 0.5 for drop in drops)\n"
    )
    project.runpytest_inprocess("--snapshot-update").assert_outcomes(passed=1)
    run_result = project.runpytest_inprocess("--tasks=ChooseAttr")
    assert run_result.ret == 0
    run_result.stdout.fnmatch_lines(["baseline: 1 of planted_base were made with other samples*"])
