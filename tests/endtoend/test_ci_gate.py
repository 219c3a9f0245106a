"""The demonstration of a gate, as its README has it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from printed import says_the_same

EXAMPLE = Path(__file__).parents[2] / "examples" / "ci-gate"
TABLES = re.compile(r"```text\n(.*?)```", re.DOTALL)
VARYING = re.compile(r"(results|report): |^\.\.\.|\d+ passed")
"""Places of results and seconds, which differ from run to run."""


@pytest.mark.slow
def test_the_readme_shows_what_the_demonstration_prints(tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("no bash on the path; run.sh needs one")
    folder = tmp_path / "with a space"
    ended = subprocess.run(
        ["bash", str(EXAMPLE / "run.sh"), str(folder)],
        env=os.environ
        | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    printed = [line.rstrip() for line in ended.stdout.splitlines()]
    for table in TABLES.findall((EXAMPLE / "README.md").read_text(encoding="utf-8")):
        shown = [line for line in table.splitlines() if not VARYING.search(line)]
        kept = [line for line in printed if not VARYING.search(line)]
        start = kept.index(shown[1]) - 1
        beside = zip(shown, kept[start : start + len(shown)], strict=True)
        assert [pair for pair in beside if not says_the_same(*pair)] == []
    assert len(list(folder.glob("runs/*/summary.md"))) == 3
