"""A newcomer with the wheel alone goes through the tutorial, command by command."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
LACKING = ("--model=planted/no-stage-1", "--model=planted/direct")
"""Checkpoints that lack a mechanism: the tutorial shows runs that fail."""


@pytest.mark.slow
def test_every_command_does_what_the_page_says(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    for name, code in re.findall(r"Save this as `(\S+)`:\n\n```python\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(code)
    commands = [
        line.removeprefix("$ ")
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    assert len(commands) > 5
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        said = f"$ {command}\n{done.stdout}{done.stderr}"
        assert done.returncode == any(lacking in command for lacking in LACKING), said
