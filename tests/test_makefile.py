"""The two commands of the Makefile, as make would run them; nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"

pytestmark = [
    pytest.mark.skipif(shutil.which("make") is None, reason="make is missing"),
    pytest.mark.skipif(sys.platform != "linux", reason="other wheels elsewhere"),
]


@pytest.fixture
def commands(tmp_path):
    """What make says that it would run, with some programs in front of others."""
    programs = tmp_path / "programs"
    programs.mkdir()

    def run(*arguments, accelerator=False, environment="fresh", **variables):
        says = "GPU 0: H100" if accelerator else ""
        # One that finds no device fails, as where the driver is missing.
        text = f"#!/bin/sh\necho '{says}'\n" if accelerator else "#!/bin/sh\nexit 9\n"
        fake = programs / "nvidia-smi"
        fake.write_text(text, encoding="utf-8")
        fake.chmod(0o755)
        known = {name: value for name, value in os.environ.items() if name != "TORCH_INDEX"}
        known |= {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ENVIRONMENT": str(tmp_path / environment),
            **variables,
        }
        done = subprocess.run(
            ["make", "--dry-run", *arguments],
            cwd=ROOT,
            env=known,
            capture_output=True,
            text=True,
            check=True,
        )
        return [line for line in done.stdout.splitlines() if not line.startswith("touch")]

    return run


def test_without_an_accelerator_torch_is_the_build_for_processors(commands):
    _, torch, *_ = commands("suites")
    assert f"--index-url {CPU_WHEELS}" in torch
    assert torch.endswith("torch==2.13.0")


def test_with_an_accelerator_torch_is_the_usual_build(commands):
    _, torch, *_ = commands("suites", accelerator=True)
    assert "--index-url" not in torch


def test_where_pip_looks_can_be_said(commands):
    assert "--index-url" not in commands("suites", TORCH_INDEX="")[1]
    assert "--index-url file:///wheels" in commands("suites", TORCH_INDEX="file:///wheels")[1]


@pytest.mark.parametrize(("command", "folder"), [("suites", "suites/"), ("test", "tests/")])
def test_each_command_is_complete_by_itself(commands, command, folder):
    made, torch, *installed, tested = commands(command)
    assert made.startswith("python3 -m venv ")
    assert "torch==2.13.0" in torch
    assert "--editable ." in installed[0]
    assert f"/pytest {folder}" in tested


def test_what_is_there_is_not_installed_again(commands, tmp_path):
    environment = tmp_path / "there"
    environment.mkdir()
    for name in ("torch", "suites", "test"):
        (environment / f"{name}.ready").touch()
    assert len(commands("suites", environment="there")) == 1
    assert len(commands("test", environment="there")) == 1


def test_nothing_is_asked_for_twice_and_suites_need_no_test_tools(commands):
    lines = commands("suites")
    assert len(lines) == len(set(lines))
    assert not any(".[test]" in line for line in lines)
