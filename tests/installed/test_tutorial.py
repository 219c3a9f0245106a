"""A newcomer with the wheel alone goes through the tutorial, command by command."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from pages import DOCS, commands, typed

LACKING = ("--model=planted/no-stage-1", "--model=planted/direct")
"""Checkpoints that lack a mechanism: the tutorial shows runs that fail."""


@pytest.mark.slow
def test_every_command_does_what_the_page_says(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    for name, code in re.findall(r"Save this as `(\S+)`:\n\n```python\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(code)
    asked = commands("tutorial.md")
    assert len(asked) > 5
    for command in asked:
        status, said = typed(command, tmp_path, environment)
        assert status == any(lacking in command for lacking in LACKING), said
