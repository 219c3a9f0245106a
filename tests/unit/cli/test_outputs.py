"""Where a command cannot write what it was asked for it says so in one line, and first of all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from run_folders import write_made_up_run

from mmflow_bench.cli.main import main


def invoke(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.mark.parametrize("command", ["sweep", "lens", "positions", "build-set"])
@pytest.mark.parametrize("place", ["file/table.csv", "pipe.csv", "a" * 300 + ".csv"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_opened(
    tmp_path, command, place
):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.csv")
    more = ["--model=planted/nobody-has-this"]
    if command == "build-set":
        more = [f"--{name}={tmp_path / 'file'}" for name in ("gqa-questions", "scene-graphs")]
        more.append("--no-filter")
    if command == "positions" and place == "pipe.csv":
        pytest.skip("its lines may go into a pipe")
    refused = invoke(command, *more, f"--output={tmp_path / place}")
    assert refused.exit_code == 2
    assert refused.output.startswith("mmflow: a file that can be written, got ")
    assert len(refused.output.splitlines()) == 1


def test_standard_output_that_is_full_is_said_in_one_line():
    command = [sys.executable, "-m", "mmflow_bench.cli", "ls", "models"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("mmflow: files and an output that can be read and written, got")
    assert len(ended.stderr.splitlines()) == 1


def test_a_disk_that_is_full_leaves_the_leaderboard_that_there_was(tmp_path, monkeypatch):
    runs = [write_made_up_run(tmp_path / name, name=name, run_id=name) for name in ("one", "two")]
    site = tmp_path / "site"
    assert invoke("leaderboard", *runs, f"--output={site}").exit_code == 0
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as short:
        short.setattr(os, "replace", full)
        ended = invoke("leaderboard", runs[0], f"--output={site}")
    assert ended.exit_code == 2
    assert ended.output.startswith("mmflow: a folder that can be written, got No space left")
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    assert invoke("leaderboard", runs[0], f"--output={site}").exit_code == 0
    assert [path.name for path in (site / "checkpoints").iterdir()] == ["one.html"]


@pytest.mark.parametrize("command", ["bless", "report"])
def test_what_is_made_of_a_run_and_cannot_be_written_is_an_error(tmp_path, monkeypatch, command):
    run = write_made_up_run(tmp_path / "run", name="plain")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    more = [f"--baselines={tmp_path / 'kept'}", "--name=m"] if command == "bless" else ["--html"]
    ended = invoke(command, run, *more)
    assert ended.exit_code == 2
    assert "No space left on device" in ended.output
    assert len(ended.output.splitlines()) == 1


def test_the_newest_complete_run_is_taken_before_a_newer_one_that_is_not(tmp_path):
    folders = []
    for number, complete in ((1, False), (2, True), (3, False)):
        folder = write_made_up_run(
            tmp_path / str(number), created=f"2026-01-0{number}T00:00:00+00:00", run_id=f"r{number}"
        )
        results = json.loads((folder / "results.json").read_text())
        results |= {"complete": complete, "unfinished": [] if complete else ["it was stopped"]}
        (folder / "results.json").write_text(json.dumps(results))
        folders.append(folder)
    site = tmp_path / "site"
    assert invoke("leaderboard", *folders, "--latest", f"--output={site}").exit_code == 0
    (entry,) = json.loads((site / "index.json").read_text())["checkpoints"]
    assert (entry["run_id"], entry["complete"]) == ("r2", True)
    rest = folders[::2]
    assert invoke("leaderboard", *rest, "--latest", f"--output={site}").exit_code == 0
    (entry,) = json.loads((site / "index.json").read_text())["checkpoints"]
    assert (entry["run_id"], entry["complete"]) == ("r3", False)
    exported = json.loads((site / entry["exports"]["every_eval_ever"]).read_text())
    assert exported["source_metadata"]["additional_details"]["complete"] == "false"
    assert "incomplete run: it was stopped" in (site / entry["exports"]["eval_results"]).read_text()
