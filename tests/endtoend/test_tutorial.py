"""The tutorial, followed to the letter by somebody who has the package and no checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*)$", TUTORIAL, re.MULTILINE)
(OWN_MECHANISM,) = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)
FAILING = {
    "--model=planted/no-stage-1 --tasks=ChooseAttr --limit=20": ["imgq-drop1", "✗ fails"],
    "test_mine.py --model=planted/direct": ["✗ fails"],
    "--gate=regression": ["gate (regression): failed", "imgq-drop1"],
}
"""Part of a command that ends with 1, and what it says."""
SAID = {
    "--mechanisms='q-last-drop,imgq-*'": ["imgq-drop1", "✓ holds", "-60.0%", "23/20"],
    "mmflow trace": ["image->question", "red"],
    "test_mine.py --model=planted/base": ["✓ holds"],
    "--markdown": ["planted/base"],
}


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Every command with its exit code and what it has printed, in one folder, in this order."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "test_mine.py").write_text(OWN_MECHANISM, encoding="utf-8")
    programs = folder / "programs"
    programs.mkdir()
    # As in an environment that is active.
    for name, module in {"mmflow": "mmflow_bench", "pytest": "pytest"}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    known = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "MMFLOW_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    found = {}
    for command in COMMANDS:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=known, capture_output=True, text=True
        )
        found[command] = done.returncode, done.stdout + done.stderr
    return found


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is missing")
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_does_what_the_page_says(followed, command):
    code, said = followed[command]
    failing = [words for part, words in FAILING.items() if part in command]
    assert code == int(bool(failing)), said
    expected = failing or [words for part, words in SAID.items() if part in command]
    for word in (word for words in expected for word in words):
        assert word in said
