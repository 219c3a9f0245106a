"""The examples that are whole projects, run as their pages say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
QUICK = ("--no-self-test", "--no-twins", "-p", "no:cacheprovider")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command in a folder, with commands of this environment on its path."""

    def completed(*command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        scripts = Path(sys.executable).parent
        environment = os.environ | {
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "MMFLOW_CACHE": str(tmp_path / "store"),
            **variables,
        }
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )

    return completed


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / "own-mechanisms", tmp_path / "own"))


def test_the_photos_are_those_that_the_script_draws(own: Path, run: Run) -> None:
    given = (own / "questions.jsonl").read_text()
    names = sorted(path.name for path in (own / "photos").iterdir())
    (own / "questions.jsonl").unlink()
    shutil.rmtree(own / "photos")
    made = run(sys.executable, "make_set.py", cwd=own)
    assert made.returncode == 0, made.stderr
    assert (own / "questions.jsonl").read_text() == given
    assert sorted(path.name for path in (own / "photos").iterdir()) == names


@pytest.mark.slow
def test_own_mechanisms_hold_where_they_should(own: Path, run: Run) -> None:
    command = (sys.executable, "-m", "pytest", *QUICK)
    held = run(*command, "--model=planted/base", cwd=own)
    assert held.returncode == 0, held.stdout + held.stderr
    assert "7 passed" in held.stdout
    failed = run(*command, "--model=planted/direct", cwd=own)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    listed = run("mmflow", "ls", "mechanisms", "test_ours.py", cwd=own)
    assert "question-read-midway" in listed.stdout


@pytest.mark.slow
def test_a_night_without_one_of_the_checkpoints_has_the_others(tmp_path: Path, run: Run) -> None:
    shutil.copytree(EXAMPLES / "nightly-leaderboard", tmp_path / "nightly")
    file = tmp_path / "nightly" / "campaign.yaml"
    checkpoints = "checkpoints: [planted/base, ./nope, planted/direct]"
    few = "mechanisms: img-last-null, limit: 2, offline: true, self-test: false, twins: false"
    listed = re.sub("checkpoints: .*", checkpoints, file.read_text())
    file.write_text(listed.replace("options: {", f"options: {{{few}, "))
    night = run("mmflow", "campaign", str(file), cwd=tmp_path)
    assert night.returncode == 1, night.stdout + night.stderr
    assert re.search(r"\./nope +core +failed", night.stdout)
    site = json.loads((file.parent / "night" / "site" / "index.json").read_text())
    assert [one["name"] for one in site["checkpoints"]] == ["planted/base", "planted/direct"]
