"""action.yml and the workflows of docs/ci.md: YAML whose commands and options there are.

No CI service is asked. The step of the action is executed with an `mmflow` that notes what it is
given; the `run` lines of the documents are read, not executed.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from mmflow_bench.cli.main import main

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
BLOCKS = [
    yaml.safe_load(text)
    for text in re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text("utf-8"), re.DOTALL
    )
]
GITHUB, GITLAB, GITLAB_ONE_JOB = BLOCKS


def scripts(value: Any) -> Iterator[str]:
    """Every shell text anywhere in a workflow."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in {"run", "script"}:
                yield from [inner] if isinstance(inner, str) else inner
            else:
                yield from scripts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from scripts(inner)


def commands(text: str) -> Iterator[list[str]]:
    """Every `mmflow` and `pytest` call of a shell text, as words."""
    for line in text.splitlines():
        for part in re.split(r"&&|\|\||;|\bdo\b", line):
            words = shlex.split(part, comments=True)
            if words and words[0] in {"mmflow", "pytest"}:
                yield words[: words.index(">")] if ">" in words else words


def documented() -> list[list[str]]:
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
    return [words for script in (*shown, *scripts(BLOCKS)) for words in commands(script)]


def options_of(words: list[str]) -> set[str]:
    return {word.split("=")[0] for word in words if word.startswith("--")}


@pytest.fixture(scope="module")
def pytest_options() -> set[str]:
    command = [sys.executable, "-m", "pytest", "--help", "-p", "no:cacheprovider"]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    return set(re.findall(r"--[a-z][a-z-]*", told))


def mmflow_options(command: str) -> set[str]:
    told = CliRunner().invoke(main, [command, "--help"])
    assert told.exit_code == 0, told.output
    return set(re.findall(r"--[a-z][a-z-]*", told.output))


def test_every_command_and_option_that_the_documents_name_exists(pytest_options):
    calls = documented()
    assert len(calls) > 10
    for words in calls:
        if words[0] == "pytest" or words[1] == "run":
            assert options_of(words) <= pytest_options, words
        else:
            assert words[1] in main.commands, words
            assert options_of(words) <= mmflow_options(words[1]), words


def test_every_option_in_running_text_is_some_commands(pytest_options):
    text = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(--[a-z][a-z-]*)", text))
    known = set.union(pytest_options, *map(mmflow_options, set(main.commands) - {"run", "ls"}))
    assert len(named) > 5
    assert named <= known


def test_the_workflow_measures_first_and_asserts_on_what_was_measured(pytest_options):
    assert GITHUB[True] == "pull_request"  # YAML 1.1 reads `on` as true.
    measure, gate = GITHUB["jobs"]["measure"], GITHUB["jobs"]["gate"]
    assert gate["needs"] == "measure"
    # A permission that is not named is none: the checkout of a private repository needs to read.
    assert gate["permissions"] == {"contents": "read", "pull-requests": "write"}
    (step,) = [step for step in gate["steps"] if step.get("id") == "gate"]
    assert set(step["with"]) <= set(ACTION["inputs"])
    asked = [line for line in step["with"]["arguments"].splitlines() if line]
    assert options_of(asked) <= pytest_options
    for words in commands(next(text for text in scripts(measure) if "measure" in text)):
        # The same samples, or the second job finds nothing in the store.
        assert set(asked) <= set(words)
        assert f"--mmflow-cache={step['with']['store']}" in words
    (up,) = [s for s in measure["steps"] if "upload-artifact" in s.get("uses", "")]
    (down,) = [s for s in gate["steps"] if "download-artifact" in s.get("uses", "")]
    assert up["with"] == down["with"] == {"name": "store", "path": step["with"]["store"]}


def test_what_a_workflow_reads_of_the_action_is_given_by_it():
    used = set(re.findall(r"steps\.gate\.outputs\.(\w+)", str(GITHUB)))
    assert used == set(ACTION["outputs"])


def test_no_value_of_others_stands_in_the_text_of_a_script():
    for script in scripts([ACTION["runs"], GITHUB]):
        assert "${{" not in script


def test_gitlab_has_an_image_with_python_and_writes_the_summary_before_it_fails():
    assert GITLAB["default"]["image"].startswith("python")
    assert GITLAB_ONE_JOB["gate"]["image"].startswith("python")
    script = GITLAB["gate"]["script"]
    report, compare = (
        next(i for i, line in enumerate(script) if f"mmflow {name} " in line)
        for name in ("report", "compare")
    )
    assert report < compare


MMFLOW = """#!/usr/bin/env bash
if [ "$1" = report ]; then shift; printf '%s\\n' "$@"; exit 0; fi
printf '%s\\n' "$@" > "$NOTED"
for argument in "$@"; do
  case "$argument" in --mmflow-output=*) folder="${argument#--mmflow-output=}";; esac
done
for name in $RUNS; do mkdir -p "$folder/$name" && touch "$folder/$name/results.json"; done
exit "$CODE"
"""


@pytest.fixture
def act(tmp_path, monkeypatch):
    """Execute the step of action.yml as a runner does, with an `mmflow` that takes notes."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on the path; the action needs one too")
    program = tmp_path / "bin" / "mmflow"
    program.parent.mkdir()
    program.write_text(MMFLOW)
    program.chmod(0o755)
    (step,) = ACTION["runs"]["steps"]
    temporary = tmp_path / "a runner's temp"
    temporary.mkdir()

    def run(code: int = 0, runs: str = "one", **inputs: str) -> tuple[int, list[str], dict]:
        given = {name: about.get("default", "") for name, about in ACTION["inputs"].items()}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        for name, value in step["env"].items():
            wanted = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)[1]
            monkeypatch.setenv(name, given[wanted])
        output = tmp_path / "output"
        output.write_text("")
        for name, value in {
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "GITHUB_OUTPUT": str(output),
            "RUNNER_TEMP": str(temporary),
            "NOTED": str(tmp_path / "noted"),
            "CODE": str(code),
            "RUNS": runs,
        }.items():
            monkeypatch.setenv(name, value)
        script = tmp_path / "step.sh"
        script.write_text(step["run"])
        # As https://docs.github.com has it for `shell: bash`.
        call = [bash, "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]
        ended = subprocess.run(call, cwd=tmp_path, check=False).returncode
        told = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return ended, (tmp_path / "noted").read_text().splitlines(), told

    return run


def test_the_action_hands_on_every_input_word_by_word(act):
    lines = "--tasks=ChooseAttr\n\n--images=/data/my images\n--mechanisms=q-*,img*\n"
    code, words, outputs = act(
        model="./my tuned", baseline='a"b $(touch injected)', arguments=lines, from_store="true"
    )
    assert code == 0
    assert words == [
        *("run", "--model=./my tuned", "--gate=regression", "--report=md,junit,github"),
        *('--baseline=a"b $(touch injected)', "--from-cache", "--tasks=ChooseAttr"),
        *("--images=/data/my images", "--mechanisms=q-*,img*"),
        f"--mmflow-output={outputs['folder']}",
    ]


def test_the_action_without_a_baseline_asks_for_none(act):
    _, words, _ = act(model="m")
    assert not any(word.startswith(("--baseline", "--from-cache")) for word in words)


@pytest.mark.parametrize("code", [0, 1, 4])
def test_the_action_ends_as_the_gate_does_and_has_its_summary_all_the_same(act, code):
    ended, _, outputs = act(code, model="m", runs="one two")
    assert ended == code
    # The stand-in's report is its arguments: all folders of this run, and no others.
    told = Path(outputs["summary"]).read_text().splitlines()
    assert told == [f"{outputs['folder']}/one/", f"{outputs['folder']}/two/", "--markdown"]


def test_the_action_has_no_summary_of_a_run_that_left_none(act):
    ended, _, outputs = act(4, model="m", runs="")
    assert ended == 4
    assert set(outputs) == {"folder"}


def test_two_steps_do_not_take_each_others_results(act):
    folders = {act(model="m")[2]["folder"] for _ in range(2)}
    assert len(folders) == 2
