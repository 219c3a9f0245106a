"""The command line: quick where nothing is measured, clear where something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from mmflow_bench.cli.listing import aligned
from mmflow_bench.cli.main import COMMANDS, imported, main
from mmflow_bench.cli.options import Asked
from mmflow_bench.cli.rows import _write
from mmflow_bench.errors import SelectionError, StoreError
from mmflow_bench.mechanisms.declared import chosen_tests
from mmflow_bench.options import Place, options_of
from mmflow_bench.plugin.settings import Settings


def invoke(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("what", ["models", "tasks", "mechanisms", "runs", "baselines"])
def test_listings_are_text_or_json(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, as_json = invoke("ls", what), invoke("ls", what, "--json")
    assert text.exit_code == as_json.exit_code == 0
    rows = json.loads(as_json.output)
    if what in {"models", "tasks", "mechanisms"}:
        assert len(rows) > 1
        assert text.output.startswith(next(iter(rows[0])))


def test_listing_imports_nothing_heavy():
    heavy = ("torch", "transformers", "numpy", "scipy", "pyarrow", "pydantic")
    code = (
        "import sys\nfrom mmflow_bench.cli.main import main\n"
        "for what in ('models', 'tasks', 'mechanisms', 'runs', 'baselines'):\n"
        "    main(['ls', what], standalone_mode=False)\n"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.strip() == "[]"


def test_the_line_of_a_command_is_the_first_of_its_own_help():
    for name, summary in COMMANDS.items():
        told = imported(name).help.split("\n\n")[0]
        assert " ".join(told.split()) == summary


def test_help_imports_no_command():
    code = (
        "import sys\nfrom mmflow_bench.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print([m for m in sys.modules if m.startswith('mmflow_bench.cli.')], file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.strip() == "['mmflow_bench.cli.main']"


@pytest.mark.parametrize("module", ["mmflow_bench", "mmflow_bench.cli"])
def test_the_package_is_a_command_where_scripts_are_not_on_the_path(module):
    command = [sys.executable, "-m", module, "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.startswith("Usage: mmflow [OPTIONS] COMMAND")


@pytest.mark.parametrize("arguments", [("--help",), ("--model=planted/base", "-h")])
def test_help_of_run_is_about_the_options_of_mechanisms(arguments):
    told = invoke("run", *arguments)
    assert told.exit_code == 0
    words = " ".join(told.output.split())
    options = [o for o in options_of(Settings) if Place.PYTEST in o.places]
    assert all(f" {option.flag}" in words for option in options)
    assert "--self-test / --no-self-test" in words
    assert "--gate=strict|mechanisms|regression|none" in words


def test_runs_are_listed_even_if_one_is_damaged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "a": '{"checkpoint": {"name": "m"}, "mechanisms": [{"verdict": "holds"}]}',
        "b": "{",
    }.items():
        folder = tmp_path / ".mmflow" / "runs" / name
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(text)
    lines = invoke("ls", "runs").output.splitlines()
    assert lines[1].split() == ["a", "m", "1", "True", "1", "holds"]
    assert lines[2].split()[:2] == ["b", "unreadable"]


def test_columns_are_aligned():
    assert aligned([{"a": "x", "b": [1, 2]}, {"a": "yyy", "b": []}]).splitlines() == [
        *("a    b", "x    1,2", "yyy"),
    ]
    assert aligned([]) == "none"


def test_a_name_of_a_run_stays_in_its_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".mmflow" / "runs" / "a"
    folder.mkdir(parents=True)
    name = "x\n::error::y\x1b[31m\u202e"
    about = {"checkpoint": {"name": name}, "mechanisms": [], "summary": {}}
    (folder / "results.json").write_text(json.dumps(about))
    listed = invoke("ls", "runs")
    assert len(listed.output.splitlines()) == 2
    assert not any(sign in listed.output for sign in "\x1b\u202e")
    assert json.loads(invoke("ls", "runs", "--json").output)[0]["model"] == name


@pytest.mark.parametrize(
    "arguments",
    [
        *(["sweep", "--model={}"], ["compare", "{}", "{}"], ["report", "{}"], ["bless", "{}"]),
        *(["leaderboard", "{}"], ["ls", "runs", "--mmflow-output={}"]),
    ],
    ids=" ".join,
)
def test_a_name_that_no_file_can_have_is_an_error_in_words(arguments):
    found = invoke(*(argument.format("x" * 10_000) for argument in arguments))
    assert found.exit_code == 2, found.exception
    assert len(found.stderr.strip().splitlines()) <= 4


def test_a_domain_error_is_one_line_and_exit_code_2(monkeypatch):
    monkeypatch.delenv("MMFLOW_DEBUG", raising=False)
    found = invoke("sweep", "--model=planted/bsae")
    assert found.exit_code == 2
    assert found.stderr.startswith("mmflow: ")
    assert "planted/base" in found.stderr
    assert "Traceback" not in found.output


def test_debugging_shows_the_traceback(monkeypatch):
    monkeypatch.setenv("MMFLOW_DEBUG", "1")
    assert invoke("sweep", "--model=planted/bsae").exception is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit=abc"], "got 'abc'"),
        (["--window=8"], "odd"),
        (["--questions=missing.csv"], "missing.csv"),
        (["--method=mean"], "masked"),
        (["--output=table.xlsx"], "FILE.parquet or FILE.csv, got table.xlsx"),
    ],
)
def test_a_wrong_value_is_a_usage_error(arguments, message):
    found = invoke("sweep", *arguments)
    assert found.exit_code == 2
    assert message in found.stderr


def test_tables_are_written_as_the_file_name_says(tmp_path):
    table = pa.table({"a": [1, 2]})
    _write(table, tmp_path / "new" / "t.parquet")
    _write(table, tmp_path / "new" / "t.csv")
    assert pq.read_table(tmp_path / "new" / "t.parquet").equals(table)
    assert (tmp_path / "new" / "t.csv").read_text().split() == ['"a"', "1", "2"]
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_a_table_that_cannot_be_written_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="what was measured is in the store"):
        _write(pa.table({"a": [1]}), tmp_path / "file" / "t.csv")


@pytest.mark.parametrize("command", ["measure", "sweep", "lens"])
@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_cache_is_refused_and_not_the_default(command: str, text: str) -> None:
    done = CliRunner().invoke(main, [command, "--model=planted/mini", f"--mmflow-cache={text}"])
    assert done.exit_code == 2
    assert f"--mmflow-cache takes a folder or `off`, got {text!r}" in done.stderr


@pytest.mark.parametrize("arguments", [("--im{}",), ("lens", "--images={}"), ("le{}",)])
def test_what_click_says_of_an_argument_is_obeyed_by_no_log(arguments: tuple[str, ...]) -> None:
    hostile = "\n::error::owned\x1b]0;x\x07"
    done = CliRunner().invoke(main, [one.format(hostile) for one in arguments])
    assert done.exit_code == 2
    assert "owned" in done.output
    assert "\n::" not in done.output
    assert "\x1b" not in done.output


OF_SUITES = """
import pytest

@pytest.mark.mechanism("own-core")
def test_core(flow):
    '''One.'''

@pytest.mark.mechanism("own-paper", suite="paper")
def test_paper(flow):
    '''Two.'''
"""


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, ["own-core"]),
        ({"suite": "paper"}, ["own-core", "own-paper"]),
        ({"patterns": ("own-paper",)}, ["own-paper"]),
    ],
)
def test_what_a_suite_leaves_out_is_not_measured(tmp_path, chosen, expected):
    file = tmp_path / "test_own.py"
    file.write_text(OF_SUITES)
    found = chosen_tests([file], **chosen)
    assert [test.declaration.id for test in found] == expected
    with pytest.raises(SelectionError, match="add --suite=paper"):
        chosen_tests([file], patterns=("own-p*",))


@pytest.mark.parametrize(
    ("cache", "said"), [("kept", "is kept (kept); the same command goes on"), ("off", "nothing")]
)
def test_ctrl_c_is_answered_with_what_is_kept(monkeypatch, cache, said):
    def interrupted(_: Asked):
        raise KeyboardInterrupt

    monkeypatch.setattr(Asked, "open", interrupted)
    found = invoke("sweep", f"--mmflow-cache={cache}")
    assert found.exit_code == 1
    assert said in found.stderr


def completed(*arguments: str):
    shell = ShellComplete(main, {}, "mmflow", "_MMFLOW_COMPLETE")
    *before, incomplete = arguments
    return [(item.type, item.value) for item in shell.get_completions(before, incomplete)]


def test_a_shell_completes_commands_options_and_checkpoints():
    assert ("plain", "sweep") in completed("sw")
    assert ("plain", "--method") in completed("sweep", "--met")
    assert completed("lens", "--model", "planted/mi") == [
        ("plain", "planted/middle-readout"),
        ("plain", "planted/mini"),
        ("plain", "planted/mixed-image"),
    ]
    assert completed("lens", "--model=planted/bas") == [("plain", "planted/base")]
    assert completed("lens", "--model", "./tuned") == [("dir", "./tuned")]


def test_a_shell_completes_what_is_handed_to_pytest():
    assert ("plain", "--mechanisms") in completed("run", "--mech")
    assert completed("run", "-n", "2", "--model=planted/bas") == [("plain", "planted/base")]
    assert completed("run", "--gate", "reg") == [("plain", "regression")]


@pytest.mark.parametrize("typed", ["--model = planted/bas", "--model planted/bas"])
@pytest.mark.parametrize("command", ["run", "lens"])
def test_bash_completes_values_after_the_sign(command, typed, monkeypatch):
    words = f"mmflow {command} {typed}"
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    told = CliRunner().invoke(
        main, prog_name="mmflow", env={"_MMFLOW_COMPLETE": "bash_complete"}, standalone_mode=True
    )
    assert told.output == "plain,planted/base\n"


@pytest.mark.parametrize("command", ["measure", "sweep", "lens"])
def test_a_url_that_names_no_store_is_refused(command: str) -> None:
    done = CliRunner().invoke(main, [command, "--model=planted/mini", "--mmflow-cache=s4://x"])
    assert done.exit_code == 2
    assert "did you mean s3?" in done.stderr


def test_a_shared_store_is_never_emptied() -> None:
    done = CliRunner().invoke(main, ["measure", "--refresh", "--mmflow-cache=memory://shared"])
    assert done.exit_code == 2
    assert "that at memory://shared is others' too; measure anew under another prefix" in (
        " ".join(done.stderr.split())
    )


def test_a_variable_may_name_a_url(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("MMFLOW_CACHE", "memory://shared/store")
    told = json.loads(CliRunner().invoke(main, ["info", "--json"]).output)
    assert (told["store"], told["store_megabytes"]) == ("memory://shared/store", 0)
    found = invoke("sweep", "--model=planted/mini", "--tasks=ChooseAttr", "--limit=1")
    assert found.exit_code == 0
    assert list((tmp_path / "mmflow-bench" / "at").glob("memory-shared-store-*/*/sealed"))
    monkeypatch.setenv("MMFLOW_CACHE", "s3://")
    assert "names a place" in invoke("sweep").stderr
