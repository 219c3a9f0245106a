"""What is answered without the image stands beside every task, whichever process has looked."""

from __future__ import annotations

import pytest

from mmflow_bench.runs.facts import merged

# Under xdist the two tests go to two workers: one knows the answers without the image only.
SUITE = """
import pytest

@pytest.mark.mechanism("ds-blind")
@pytest.mark.parametrize("task", ["ChooseAttr"])
def test_questions_need_their_image(flow, task):
    assert flow.blind(task).accuracy_falls_by(0.2)

@pytest.mark.mechanism("q-last-drop")
@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_question_to_last_drops(flow, task):
    assert flow("question -> last", task).peak <= -0.1
"""
LINE = (
    "ChooseAttr can be answered without its image (95% right without it, 100% with it), drops "
    "saturate near -80%"
)


@pytest.fixture(autouse=True)
def suite(project):
    (project.path / "test_suite.py").write_text(SUITE)


def test_a_task_that_needs_no_image_fails_and_is_named(run, results, behave):
    behave(blind=38)
    run_result = run()
    run_result.assert_outcomes(failed=1, passed=2)
    assert LINE in " ".join(run_result.stdout.str().split())
    tasks = results()["data"]["tasks"]
    blind = tasks["ChooseAttr"]["blind"]
    assert blind == {
        "accuracy_removed": 0.95,
        "accuracy_exchanged": 0.95,
        "probability_removed": pytest.approx(0.1),
        "probability_exchanged": pytest.approx(0.1),
        "saturation": pytest.approx(-0.8),
        "n": 40,
    }
    assert tasks["QueryAttr"]["blind"] is None


def test_of_a_task_that_needs_its_images_only_the_numbers_are_kept(run, results):
    run_result = run()
    run_result.assert_outcomes(passed=3)
    run_result.stdout.no_fnmatch_line("*can be answered without*")
    assert results()["data"]["tasks"]["ChooseAttr"]["blind"]["accuracy_removed"] == 0.0


def test_nothing_is_said_where_it_was_not_measured(project, results, behave):
    behave(blind=38)
    run_result = project.runpytest_inprocess("--mechanisms=q-*")
    run_result.assert_outcomes(passed=2, deselected=1)
    run_result.stdout.no_fnmatch_line("*can be answered without*")
    assert all(task["blind"] is None for task in results()["data"]["tasks"].values())


@pytest.mark.parametrize("is_first", [True, False])
def test_a_process_that_has_not_looked_hides_nothing(is_first):
    count = {"selected": 2, "correct": 2}
    looked, other = ({"tasks": {"t": count | more}} for more in ({"blind": {"n": 2}}, {}))
    both = merged(looked, other) if is_first else merged(other, looked)
    assert both["tasks"] == {"t": count | {"blind": {"n": 2}}}
