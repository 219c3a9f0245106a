"""Which tests run, for which checkpoints, and what they measure."""

from __future__ import annotations

import json

import pytest


def ensured(project: pytest.Pytester) -> list[dict]:
    return [json.loads(line) for line in (project.path / "ensured.jsonl").read_text().splitlines()]


def test_tasks_and_mechanisms_are_chosen_by_glob(project):
    run_result = project.runpytest_inprocess("--tasks=Choose*", "--mechanisms=imgq-*,nothing")
    run_result.assert_outcomes(passed=1, deselected=3)


def test_a_selection_of_nothing_says_where_the_names_are(project):
    run_result = project.runpytest_inprocess("--mechanisms=q-lsat")
    assert run_result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    run_result.stdout.fnmatch_lines(["*left none of 4 tests; `mmflow ls mechanisms`*"])


def test_the_first_use_of_a_task_measures_all_that_is_planned_for_it(project):
    project.runpytest_inprocess("--tasks=ChooseAttr")
    first = ensured(project)[0]
    assert set(first["edges"]) >= {"question->last", "image->question"}
    assert {call["task"] for call in ensured(project)} == {"ChooseAttr"}


def test_deselected_mechanisms_are_not_measured(project):
    project.runpytest_inprocess("--mechanisms=q-last-drop")
    assert all("image->question" not in call["edges"] for call in ensured(project))


def test_a_window_of_ones_own_is_measured(project):
    project.runpytest_inprocess("--window=7", "--mechanisms=imgq-drop")
    assert {width for call in ensured(project) for width in call["widths"]} <= {1, 7}
    assert any(7 in call["widths"] for call in ensured(project))


def test_each_model_gets_its_tests_its_table_and_its_run_folder(project, results):
    arguments = ("--model=planted/base", "--model=planted/mini")
    run_result = project.runpytest_inprocess("-v", *arguments)
    run_result.assert_outcomes(passed=8)
    order = [line.split("[")[1] for line in run_result.outlines if " PASSED" in line]
    models = [name.split("-")[0] for name in order]
    assert models == ["planted_base"] * 4 + ["planted_mini"] * 4
    run_result.stdout.fnmatch_lines(["planted/base*", "planted/mini*"])
    base, mini = results("planted_base"), results("planted_mini")
    assert base["run_id"] == mini["run_id"]
    assert len(base["mechanisms"]) == len(mini["mechanisms"]) == 4


def test_a_mechanism_of_ones_own_needs_only_the_fixture(project, results):
    (project.path / "test_suite.py").write_text(
        """
def test_question_to_last(flow):
    assert flow("question -> last", "ChooseAttr").peak <= -0.1
"""
    )
    project.runpytest_inprocess().assert_outcomes(passed=1)
    (row,) = results()["mechanisms"]
    assert (row["id"], row["verdict"]) == ("test_question_to_last", "holds")


def test_tests_of_one_measurement_share_a_worker(project):
    arguments = ("-n", "2", "--model=planted/base", "--model=planted/mini")
    project.runpytest_subprocess(*arguments).assert_outcomes(passed=8)
    workers: dict[tuple[str, str], set[str]] = {}
    for call in ensured(project):
        workers.setdefault((call["model"], call["task"]), set()).add(call["worker"])
    assert len(workers) == 4
    assert all(len(names) == 1 for names in workers.values())
    assert len({name for names in workers.values() for name in names}) == 2
    folders = list((project.path / ".mmflow" / "runs").iterdir())
    assert len(folders) == 2
    assert all((folder / "samples.parquet").is_file() for folder in folders)
    assert not [path for folder in folders for path in folder.glob(".*")]
