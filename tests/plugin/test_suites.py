"""Which mechanisms --suite leaves, and that those it leaves out are counted and not missed."""

from __future__ import annotations

import json

import pytest

SUITE = """
import pytest

@pytest.mark.mechanism("q-last-drop")
def test_core(flow):
    '''It drops.'''
    assert flow("question -> last", "ChooseAttr").peak <= -0.1

@pytest.mark.mechanism("own-paper", suite="paper")
def test_paper(flow):
    '''It drops too.'''
    assert flow("image -> question", "ChooseAttr").peak <= -0.1

@pytest.mark.mechanism("own-since", suite="all")
def test_since(flow):
    '''It drops as well.'''
    assert flow("last -> last", "ChooseAttr").peak >= -0.1
"""


@pytest.fixture
def suites(project: pytest.Pytester) -> pytest.Pytester:
    (project.path / "test_suite.py").write_text(SUITE)
    return project


def ids(content: dict) -> list[str]:
    return [row["id"] for row in content["mechanisms"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["q-last-drop"]),
        (["--suite=core"], ["q-last-drop"]),
        (["--suite=paper"], ["q-last-drop", "own-paper"]),
        (["--suite=all"], ["q-last-drop", "own-paper", "own-since"]),
        (["--mechanisms=own-since"], ["own-since"]),
        (["--mechanisms=own-since,q-*"], ["q-last-drop", "own-since"]),
        (["--suite=paper", "--mechanisms=own-*"], ["own-paper"]),
        # What is named in full is asked for, what a pattern matches beside it is not.
        (["--mechanisms=own-paper,*"], ["q-last-drop", "own-paper"]),
    ],
)
def test_a_suite_holds_those_before_it_and_what_is_named(suites, results, arguments, expected):
    run_result = suites.runpytest_inprocess(*arguments)
    run_result.assert_outcomes(passed=len(expected), deselected=3 - len(expected))
    content = results()
    assert sorted(ids(content)) == sorted(expected)
    said = dict(argument.removeprefix("--").split("=") for argument in arguments)
    assert content["settings"]["suite"] == said.get("suite", "core")


def test_only_what_is_asked_is_measured(suites):
    suites.runpytest_inprocess()
    lines = (suites.path / "ensured.jsonl").read_text().splitlines()
    assert {edge for line in lines for edge in json.loads(line)["edges"]} == {"question->last"}


def test_the_ini_file_may_choose_it_and_the_command_line_goes_before(suites, results):
    with (suites.path / "tox.ini").open("a") as ini:
        ini.write("\nmmflow_suite = all\n")
    suites.runpytest_inprocess()
    assert len(ids(results())) == 3
    suites.runpytest_inprocess("--suite=core")
    assert len(ids(results())) == 1


def test_a_suite_that_there_is_not_is_a_usage_error(suites):
    assert suites.runpytest_inprocess("--suite=papers").ret == pytest.ExitCode.USAGE_ERROR


def test_a_pattern_of_wider_suites_alone_is_refused_with_the_suite_that_has_them(suites):
    run_result = suites.runpytest_inprocess("--mechanisms=own-*")
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stderr.fnmatch_lines(
        ["ERROR: mechanisms of --suite=core, got 'own-[*]'*; add --suite=paper, or name one in *"]
    )
    run_result = suites.runpytest_inprocess("--suite=paper", "--mechanisms=own-s*")
    run_result.stderr.fnmatch_lines(["*got 'own-s[*]'*add --suite=all*"])


def test_a_suite_that_leaves_nothing_says_so(suites):
    run_result = suites.runpytest_inprocess("-k", "test_since")
    assert run_result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    run_result.stdout.fnmatch_lines(["*--suite=core, --mechanisms and --tasks have left no test*"])


def stored(project: pytest.Pytester) -> dict:
    content = json.loads((project.path / "baselines/planted_base/test_suite.json").read_text())
    return content["baselines"]


def test_a_smaller_suite_leaves_the_stored_verdicts_of_a_larger_one_alone(suites, results):
    suites.runpytest_inprocess("--suite=all", "--snapshot-update")
    assert len(stored(suites)) == 3
    run_result = suites.runpytest_inprocess("--gate=strict")
    assert run_result.ret == pytest.ExitCode.OK
    assert "unused" not in run_result.stdout.str()
    assert {row["baseline"] for row in results()["mechanisms"]} == {"same"}
    before = stored(suites)
    assert suites.runpytest_inprocess("--snapshot-update").ret == pytest.ExitCode.OK
    assert stored(suites) == before


def test_what_a_smaller_suite_has_not_stored_is_new_and_no_drift(suites, results):
    suites.runpytest_inprocess("--snapshot-update")
    run_result = suites.runpytest_inprocess("--suite=all", "--gate=regression")
    assert run_result.ret == pytest.ExitCode.OK
    states = {row["id"]: row["baseline"] for row in results()["mechanisms"]}
    assert states == {"q-last-drop": "same", "own-paper": "new", "own-since": "new"}


@pytest.mark.slow
def test_workers_leave_out_the_same(suites, results):
    suites.runpytest_subprocess("-n", "2", "--suite=paper").assert_outcomes(passed=2)
    assert sorted(ids(results())) == ["own-paper", "q-last-drop"]
