"""Which tests run, for which checkpoints, and what they measure."""

from __future__ import annotations

import json

import pytest


def ensured(project: pytest.Pytester) -> list[dict]:
    return [json.loads(line) for line in (project.path / "ensured.jsonl").read_text().splitlines()]


def test_tasks_and_mechanisms_are_chosen_by_glob(project):
    run_result = project.runpytest_inprocess("--tasks=Choose*", "--mechanisms=imgq-*")
    run_result.assert_outcomes(passed=1, deselected=3)


UNKNOWN = {
    "--tasks=ChoseAttr": "a task of * (ChooseAttr, *), got 'ChoseAttr' (--tasks); did you mean *?",
    "--tasks=Chose*,QueryAttr": "a task of *, got 'Chose[*]' (--tasks)*",
    "--tasks=[": "a task of *, got '[[]' (--tasks); `mmflow ls tasks` lists the paper's",
    "--tasks=,": "--tasks takes names or patterns, commas between them, got ','",
    "--mechanisms=q-lsat": "a mechanism of the collected tests (q-last-drop, imgq-drop), got "
    "'q-lsat' (--mechanisms); did you mean q-last-drop?",
    "--mechanisms=imgq-*,nothing": "a mechanism *, got 'nothing' (--mechanisms)*",
}


@pytest.mark.parametrize("argument", UNKNOWN)
def test_a_name_that_matches_nothing_is_a_usage_error_before_anything_is_measured(
    project, argument
):
    run_result = project.runpytest_inprocess(argument)
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stderr.fnmatch_lines([f"ERROR: {UNKNOWN[argument]}"])
    assert not (project.path / "ensured.jsonl").exists()
    assert not (project.path / ".mmflow").exists()


def test_workers_say_it_once(project):
    run_result = project.runpytest_subprocess("-n", "2", "--tasks=ChoseAttr")
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    said = [line for line in run_result.outlines + run_result.errlines if "ChoseAttr'" in line]
    assert len(said) == 1
    assert said[0].endswith("(--tasks); did you mean ChooseAttr?")
    run_result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert not (project.path / ".mmflow").exists()


def test_names_are_looked_for_among_all_collected_tests(project):
    # What -k takes away is no typo of --mechanisms, and one task alone has each mechanism.
    run_result = project.runpytest_inprocess("-k", "QueryAttr", "--mechanisms=q-last-drop")
    run_result.assert_outcomes(passed=1, deselected=3)


def test_names_that_match_but_not_together_leave_nothing(project):
    run_result = project.runpytest_inprocess("-k", "QueryAttr", "--tasks=ChooseAttr")
    assert run_result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    run_result.stdout.fnmatch_lines(["*left none of 2 tests; `mmflow ls mechanisms`*"])


def test_a_run_without_tests_of_flow_has_no_names_to_miss(project):
    (project.path / "test_suite.py").write_text("def test_other(): pass\n")
    run_result = project.runpytest_inprocess("--tasks=ChoseAttr", "--mechanisms=q-lsat")
    run_result.assert_outcomes(passed=1)


def test_a_file_that_cannot_be_collected_is_said_first(project):
    # The mechanism may be in it.
    (project.path / "test_broken.py").write_text("import nothing_of_that_name\n")
    run_result = project.runpytest_inprocess("--mechanisms=q-lsat")
    assert run_result.ret == pytest.ExitCode.INTERRUPTED
    run_result.stdout.fnmatch_lines(["*nothing_of_that_name*"])


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_limit_beyond_the_end_is_said_before_anything_is_loaded(project, is_shared):
    (project.path / "conftest.py").write_text("")  # its measurements are of no questions
    with (project.path / "tox.ini").open("a") as ini:
        ini.write("\nmmflow_limit = 500-600\n")
    run_result = project.runpytest_subprocess(*(["-n", "1"] if is_shared else []))
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    said = [line for line in run_result.outlines + run_result.errlines if "begins at 500" in line]
    assert len(said) == 1
    assert said[0].startswith("ERROR: a limit that leaves an image of some task, got one that")


def test_a_task_that_the_questions_lack_is_said_before_anything_is_loaded(project):
    (project.path / "conftest.py").write_text("")
    suite = project.path / "test_suite.py"
    suite.write_text(suite.read_text().replace("QueryAttr", "mine"))
    run_result = project.runpytest_inprocess("--tasks=mine")
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stderr.fnmatch_lines(["ERROR: a task of the questions (*), got 'mine' (--tasks)*"])


OF_ALL_TASKS = """
from mmflow_bench import at_least

def test_most(flow):
    drops = [flow("question -> last", task).peak <= -0.1 for task in flow.tasks]
    assert at_least(1, drops)

def test_six(flow):
    for task in ("ChooseAttr", "CompareAttr"):
        assert flow("question -> last", task).peak <= -0.1
"""


def test_a_task_of_the_questions_alone_is_one_for_statements_across_tasks(project, behave):
    (project.path / "test_suite.py").write_text(OF_ALL_TASKS)
    row = {"question_id": "1", "image_id": "1", "task": "mine", "question": "?", "answer": "a"}
    (project.path / "questions.jsonl").write_text(json.dumps(row))
    behave(tasks=["mine"])
    asked = ("--questions=questions.jsonl", "--tasks=min*")
    project.runpytest_inprocess(*asked).assert_outcomes(passed=1, skipped=1)
    run_result = project.runpytest_inprocess(asked[0], "--tasks=mime")
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stderr.fnmatch_lines(["*(mine), got 'mime' (--tasks); did you mean mine?"])


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
