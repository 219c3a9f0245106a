"""Options: what they accept, how they refuse, where else they may be written."""

from __future__ import annotations

import subprocess
import sys

import pytest

REFUSED = {
    "--limit=abc": "--limit takes*got 'abc'",
    "--window=4": "--window takes `auto` or an odd number*got '4'*",
    "--batch-size=0": "--batch-size takes*got '0'",
    "--alpha=2": "--alpha takes an error rate*",
    "--model-args=revision": "--model-args takes key=value pairs*",
    "--questions=missing.csv": "a question file*missing.csv",
    "--images=missing": "--images takes a folder*missing",
    "--model=planted/bsae": "*planted/base*",
    "--model=": "a registered name *, a folder or a hub id, got ''*",
    "--inconclusive=maybe": "*--mmflow-inconclusive: invalid choice: 'maybe'*",
}


@pytest.mark.parametrize(("argument", "message"), REFUSED.items(), ids=REFUSED)
def test_a_wrong_value_is_refused_before_any_test(project, argument, message):
    run_result = project.runpytest_inprocess(argument)
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stderr.fnmatch_lines([f"*{message}*"])


@pytest.mark.parametrize("argument", ["--model", "--baseline", "--questions", "--images"])
@pytest.mark.parametrize("name", ["x" * 10_000, "./" + "x" * 10_000, "~nobody-here/x"])
def test_a_name_that_no_file_can_have_is_refused_like_one_that_is_not_there(
    project, argument, name
):
    run_result = project.runpytest_inprocess(f"{argument}={name}")
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR


def test_what_is_typed_is_shown_and_obeyed_by_no_log(project):
    name = "x\n::error title=a::b\n##[error]c\x1b[31m\u202e"
    checkpoint = project.mkdir("folder") / name
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    run_result = project.runpytest_inprocess(f"--model=folder/{name}", "--report=md")
    shown = run_result.stdout.str()
    run_result.stdout.fnmatch_lines(["mmflow: folder/x *"])
    assert not any(sign in shown for sign in "\x1b\u202e")
    assert not any(line.lstrip().startswith("::") for line in run_result.outlines)
    assert "##[" not in shown


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_tables_are_lines_where_the_output_is_not_utf_8(project, monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    command = [sys.executable, "-m", "pytest", "--baseline=planted/mini"]
    ended = subprocess.run(command, capture_output=True, check=False, cwd=project.path)
    lines = ended.stdout.decode(encoding).splitlines()
    assert ended.returncode == 0
    assert sum(line.startswith("  ChooseAttr   + holds ") for line in lines) == 2
    assert any(line.startswith("-- Sec. 5, edges into the last position ---") for line in lines)
    assert not any("\\u2" in line or "\\n" in line for line in lines)


def test_an_empty_cache_is_refused_and_not_the_default(project):
    run_result = project.runpytest_inprocess("--mmflow-cache=")
    assert run_result.ret == 4
    run_result.stderr.fnmatch_lines(["ERROR: --mmflow-cache takes a folder or `off`, got ''; *"])


def test_from_cache_and_refresh_contradict_each_other(project):
    run_result = project.runpytest_inprocess("--from-cache", "--refresh")
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_model_after_a_space_is_refused_where_it_moves_the_rootdir(pytester):
    pytester.mkdir("checkpoint")
    run_result = pytester.runpytest_inprocess("--model", str(pytester.path / "checkpoint"))
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stderr.fnmatch_lines(["*--model=*with a space pytest takes the folder*"])


def test_ini_keys_stand_in_for_options(project, results):
    with (project.path / "tox.ini").open("a") as ini:
        ini.write("\nmmflow_alpha = 0.01\nmmflow_model = planted/mini\nmmflow_window = 5\n")
    project.runpytest_inprocess().assert_outcomes(passed=4)
    content = results()
    assert content["settings"]["alpha"] == 0.01
    assert content["settings"]["window"] == 5
    assert content["checkpoint"]["name"] == "planted/mini"


def test_environment_beats_ini_and_option_beats_both(project, results, monkeypatch):
    with (project.path / "tox.ini").open("a") as ini:
        ini.write("\nmmflow_model = planted/unknown\n")
    monkeypatch.setenv("MMFLOW_MODEL", "planted/mini")
    project.runpytest_inprocess().assert_outcomes(passed=4)
    assert results()["checkpoint"]["name"] == "planted/mini"
    project.runpytest_inprocess("--model=planted/base").assert_outcomes(passed=4)
    assert results()["checkpoint"]["name"] == "planted/base"


def test_the_plugin_is_registered_once_with_a_root_conftest(project):
    conftest = project.path / "conftest.py"
    text = conftest.read_text()
    conftest.write_text(text.replace("plugins = ()", 'plugins = ("mmflow_bench.plugin",)'))
    run_result = project.runpytest_subprocess("--trace-config")
    named = "PLUGIN registered: <module 'mmflow_bench.plugin'"
    assert run_result.ret == 0
    assert sum(line.startswith(named) for line in run_result.outlines) == 1


def test_an_option_without_a_value_is_its_default_even_if_the_ini_file_has_another(
    project, results
):
    with (project.path / "tox.ini").open("a") as ini:
        ini.write("\nmmflow_window = 5\n")
    given = ("--window=", "--limit=", "--tolerance=", "--mmflow-output=")
    project.runpytest_inprocess(*given).assert_outcomes(passed=4)
    settings = results()["settings"]
    assert (settings["window"], settings["limit"]) == ("auto", None)


def test_a_baseline_that_has_lost_its_name_does_not_pass_for_none(project):
    assert project.runpytest_inprocess("--baseline=").ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("gate", "maybe", "mmflow_gate takes strict|mechanisms|regression|none, got 'maybe' in *"),
        ("follow", "me", "mmflow_follow takes answer|reference, got 'me' in *"),
        ("alpha", "x", "--alpha takes an error rate in (0, 0.5), got 'x'"),
        ("limit", "abc", "--limit takes*got 'abc'"),
    ],
)
def test_a_wrong_value_in_the_ini_file_is_refused(project, key, value, message):
    with (project.path / "tox.ini").open("a") as ini:
        ini.write(f"\nmmflow_{key} = {value}\n")
    run_result = project.runpytest_inprocess("--tasks=ChooseAttr")
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stderr.fnmatch_lines([f"*{message}*"])
