"""What a page of the documentation tells a reader to type."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def commands(page: str) -> list[str]:
    """Every command of a page, in order; one that goes on with a backslash is one."""
    text = (DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")
    return [
        line.removeprefix("$ ")
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def python(page: str) -> list[str]:
    """Every block of Python of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def yaml(page: str) -> list[str]:
    """Every block of YAML of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def typed(command: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit status of a command, and all that is seen of it."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.returncode, f"$ {command}\n{done.stdout}{done.stderr}"
