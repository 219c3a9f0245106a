"""Mechanisms of one's own: declared at the test, checked at collection, then like any other."""

from __future__ import annotations

import json

import pytest

from mmflow_bench.baselines.paired_records import read_comparison

FILE = "test_suite.py"
OWN = """
import pytest
from mmflow_bench import Gate

pytestmark = pytest.mark.mechanism(section="My section", citation="mine 2026")

@pytest.mark.mechanism("mine", gate=Gate("peak", "question -> last"))
@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_mine(flow, task):
    '''The question is read.

    Not said in reports.
    '''
    assert flow("question -> last", task).peak <= -0.1

@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_unnamed(flow, task):
    '''The image too.'''
    assert flow("image -> question", task, width=1).peak <= -0.1
    assert flow.lens("answer", task).max >= 0.1
"""


def write(project, text):
    (project.path / FILE).write_text(text)


def test_rows_say_what_the_test_declares(project, results):
    write(project, OWN)
    project.runpytest_inprocess().assert_outcomes(passed=4)
    shown = ("section", "statement", "citation", "tier")
    assert {row["id"]: tuple(row[name] for name in shown) for row in results()["mechanisms"]} == {
        "mine": ("My section", "The question is read.", "mine 2026", "holds"),
        "test_unnamed": ("My section", "The image too.", "mine 2026", "holds"),
    }


def test_a_copy_of_a_test_repeats_what_ships_of_its_id(project, results):
    project.runpytest_inprocess("--mechanisms=imgq-drop")
    (row, _) = results()["mechanisms"]
    assert row["section"] == "Sec. 5, image to question"
    assert row["statement"] == "Cutting the image off the question costs probability."


def test_own_sections_come_after_those_of_the_paper(project):
    (project.path / "test_own.py").write_text(OWN)
    lines = project.runpytest_inprocess("-p", "no:terminalreporter_dots").outlines
    titles = [line.strip("─- ") for line in lines if line.startswith(("── ", "-- "))]
    assert titles == [
        *("Sec. 5, edges into the last position", "Sec. 5, image to question", "My section"),
    ]


def test_everything_is_measured_the_first_time_that_a_task_is_asked(project):
    write(project, OWN)
    project.runpytest_inprocess("--no-twins").assert_outcomes(passed=4)
    lines = (project.path / "ensured.jsonl").read_text().splitlines()
    for task in ("ChooseAttr", "QueryAttr"):
        first, *later = (call for call in map(json.loads, lines) if call["task"] == task)
        assert first["edges"] == ["image->question", "question->last"]
        assert first["lens"]
        assert all(set(call["edges"]) <= set(first["edges"]) for call in later)
        assert all(set(call["widths"]) <= set(first["widths"]) for call in later)


@pytest.mark.parametrize(
    "workers", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)], ids=["plain", "two workers"]
)
def test_a_mechanism_of_ones_own_is_gated(project, workers):
    write(project, OWN)
    models = {"planted/base": {"drops": {"question->last": -0.8, "image->question": -0.5}}}
    (project.path / "behaviour.json").write_text(json.dumps(models))
    arguments = (*workers, "--model=planted/base", "--baseline=planted/mini", "--gate=regression")
    assert project.runpytest_subprocess(*arguments).ret == 1
    (path,) = project.path.glob(".mmflow/runs/*/comparison.json")
    assert "mine" in read_comparison(path.read_text()).changed


NOT_ABOUT = """
import pytest

@pytest.mark.mechanism("a", {})
def test_a(flow):
    '''A.'''
    assert flow("question -> last", "ChooseAttr").peak <= -0.1
"""


@pytest.mark.parametrize(
    ("said", "model", "reason"),
    [
        (
            'only_for=("llava-1.5-13b",)',
            "planted/mini",
            "the paper says this of llava-1.5-13b only",
        ),
        (
            'not_for=("llava-1.5-7b",)',
            "llava-1.5-7b",
            "the paper does not say this of llava-1.5-7b",
        ),
    ],
)
def test_whom_a_mechanism_is_not_about_is_refused_before_the_test_runs(
    project, results, said, model, reason
):
    write(project, NOT_ABOUT.format(said))
    project.runpytest_inprocess(f"--model={model}").assert_outcomes(skipped=1)
    (row,) = results()["mechanisms"]
    assert (row["verdict"], row["reason"]) == ("not-applicable", reason)
    assert not (project.path / "ensured.jsonl").exists()


@pytest.mark.parametrize("said", ['not_for=("llava-1.5-7b",)', 'only_for=("llava-1.5-13b",)'])
def test_others_are_asked(project, said):
    write(project, NOT_ABOUT.format(said))
    project.runpytest_inprocess("--model=llava-1.5-13b").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("drop", "outcomes"), [(0.0, {"xfailed": 1}), (-0.5, {"failed": 1})], ids=["fails", "holds"]
)
def test_what_the_paper_sees_fail_is_expected_to(project, behave, results, drop, outcomes):
    write(project, NOT_ABOUT.format('fails_for=("llama3-llava-next-8b",)'))
    behave(drops={"question->last": drop})
    project.runpytest_inprocess("--model=llama3-llava-next-8b").assert_outcomes(**outcomes)
    assert results()["mechanisms"][0]["expected"] == "fails"


def test_what_is_expected_of_one_checkpoint_is_not_expected_of_another(project, results):
    write(project, NOT_ABOUT.format('fails_for=("llama3-llava-next-8b",)'))
    project.runpytest_inprocess("--model=llava-1.5-7b").assert_outcomes(passed=1)
    assert results()["mechanisms"][0]["expected"] == "holds"


@pytest.mark.parametrize(
    ("name", "said", "found"),
    [
        ("planted/mini", ["--mmflow-as=llava-1.5-7b"], "llava-1.5-7b"),
        ("planted/mini", [], None),
        ("llava-1.5-13b", ["--mmflow-as=llava-1.5-7b"], "llava-1.5-13b"),
    ],
)
def test_a_checkpoint_may_be_asked_as_one_of_the_papers(project, results, name, said, found):
    write(project, NOT_ABOUT.format('only_for=("llava-1.5-7b",)'))
    ended = project.runpytest_inprocess(f"--model={name}", *said)
    is_asked = found == "llava-1.5-7b"
    ended.assert_outcomes(**{"passed" if is_asked else "skipped": 1})
    assert results()["checkpoint"]["as"] == found
    assert ("asked as llava-1.5-7b" in ended.stdout.str()) == is_asked


def test_a_checkpoint_that_the_paper_does_not_have_is_no_choice(project):
    ended = project.runpytest_inprocess("--mmflow-as=llava-1.5-70b")
    assert ended.ret == pytest.ExitCode.USAGE_ERROR
    ended.stderr.fnmatch_lines(["*--mmflow-as*llava-1.5-70b*llava-1.5-7b*"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('@pytest.mark.mechanism("mien")\ndef test_a(flow): ...', "*test_suite.py::test_a: a doc*"),
        (
            '@pytest.mark.mechanism("a", teir="control")\ndef test_a(flow): "A."',
            "*test_suite.py::test_a: a keyword*got 'teir'; did you mean tier?",
        ),
        (
            '@pytest.mark.mechanism("a", tier="control")\ndef test_a(flow): "A."\n\n'
            '@pytest.mark.mechanism("a")\ndef test_b(flow): "A."',
            "*test_suite.py::test_b: one tier for all tests of a, got 'control' and 'holds'*",
        ),
    ],
)
def test_what_is_wrong_is_said_at_collection(run, project, text, message):
    write(project, f"import pytest\n\n{text}\n")
    result = run()
    assert result.ret in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED}
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert not (project.path / ".mmflow").exists()


def test_marks_of_the_same_name_on_other_tests_are_no_concern(project):
    write(project, "import pytest\n\n@pytest.mark.mechanism(3)\ndef test_a(): ...\n")
    project.runpytest_inprocess().assert_outcomes(passed=1)
