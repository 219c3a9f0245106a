"""What the package warns of while tests run stands in the terminal, once, whichever tests pass."""

from __future__ import annotations

import logging

SUITE = """
import logging
import pytest

@pytest.mark.mechanism("q-last-drop")
@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_question_to_last_drops(flow, task):
    logging.getLogger("mmflow_bench.store.damage").warning("damaged \\x1b]0;file %s", "a.parquet")
    assert flow("question -> last", task).peak <= -0.1
"""


def test_a_warning_of_the_store_is_shown_once(run, project):
    (project.path / "test_suite.py").write_text(SUITE)
    run_result = run()
    run_result.assert_outcomes(passed=2)
    (line,) = [line for line in run_result.outlines if "damaged" in line]
    assert "a.parquet" in line
    assert "\x1b" not in line


def test_the_next_run_of_the_process_does_not_hear_of_it(project):
    (project.path / "test_suite.py").write_text(SUITE)
    project.runpytest_inprocess()
    project.makeini("[pytest]")
    assert not logging.getLogger("mmflow_bench").handlers
