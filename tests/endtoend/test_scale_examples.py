"""The recipes of docs/scale.md: a Slurm array with a stand-in for srun, ranks, and all commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from mmflow_bench.cli.main import imported, main

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "examples" / "scale" / "slurm.sh"
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
FEW = ("--model=planted/mini", "--tasks=ChooseAttr", "--limit=3", "--no-self-test")
ONE = (*FEW, "--mechanisms=q-last-drop")


def environment(folder: Path, **added: str) -> dict[str, str]:
    """Of a machine whose srun runs its command here."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, text in {
        "srun": 'exec "$@"',
        "mmflow": f'exec {shlex.quote(sys.executable)} -m mmflow_bench "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return clean | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **added}


def stored(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.glob("*/*.parquet")}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves in the store."""
    folder = tmp_path_factory.mktemp("plain")
    command = [sys.executable, "-m", "mmflow_bench", "measure", *ONE]
    given = environment(folder, MMFLOW_CACHE=str(folder / "cache"))
    subprocess.run(command, env=given, check=True, capture_output=True)
    return stored(folder / "cache")


@pytest.mark.slow
def test_a_slurm_array_fills_the_store_that_one_process_would(
    plain: dict[str, bytes], tmp_path: Path
) -> None:
    for task in ("1", "2"):
        array = {"ID": task, "COUNT": "2", "MIN": "1", "STEP": "1"}
        variables = {f"SLURM_ARRAY_TASK_{name}": value for name, value in array.items()}
        given = environment(tmp_path, MMFLOW_CACHE=str(tmp_path / "array"), **variables)
        ended = subprocess.run(
            ["bash", SLURM, *ONE], env=given, check=True, capture_output=True, text=True
        )
        assert f"shard {task}/2: " in ended.stderr
    assert stored(tmp_path / "array") == plain


@pytest.mark.slow
def test_ranks_of_torchrun_fill_it_too(plain: dict[str, bytes], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m"]
    given = environment(tmp_path, MMFLOW_CACHE=str(tmp_path / "ranks"))
    subprocess.run(
        [*command, "mmflow_bench", "measure", "--shard=auto", *ONE],
        env=given,
        check=True,
        capture_output=True,
    )
    assert stored(tmp_path / "ranks") == plain


def test_some_tasks_of_an_array_are_measured_again_as_parts_of_the_whole(tmp_path: Path) -> None:
    given = environment(tmp_path, MMFLOW_CACHE=str(tmp_path), SHARDS="8", SLURM_ARRAY_TASK_ID="7")
    (tmp_path / "bin" / "mmflow").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    ended = subprocess.run(
        ["bash", SLURM, "--model=a b"], env=given, check=True, capture_output=True, text=True
    )
    assert ended.stdout.splitlines() == ["measure", "--shard=7/8", "--model=a b"]


def test_an_array_without_a_store_for_all_is_refused(tmp_path: Path) -> None:
    given = environment(tmp_path)
    given.pop("MMFLOW_CACHE", None)
    ended = subprocess.run(["bash", SLURM], env=given, check=False, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "name a folder that all nodes see" in ended.stderr


def test_the_script_is_clean_shell() -> None:
    subprocess.run(["shellcheck", SLURM], check=True)


def commands() -> list[list[str]]:
    """Every `mmflow measure` and `mmflow run` of the page and of the manifest."""
    manifest = yaml.safe_load((ROOT / "examples/scale/kuberay.yaml").read_text(encoding="utf-8"))
    lines = [*re.findall(r"(?:^\$ |run: )(mmflow .*)$", PAGE, re.MULTILINE)]
    return [shlex.split(line) for line in (*lines, manifest["spec"]["entrypoint"])]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_options_that_there_are(words: list[str]) -> None:
    _, command, *arguments = words
    if command == "measure":
        known = {name for one in imported("measure").params for name in one.opts}
    else:
        known = set(re.findall(r"--[\w-]+", CliRunner().invoke(main, ["run", "--help"]).output))
    # What a workflow puts in may have spaces.
    options = [one for one in arguments if one.startswith("--")]
    assert options
    assert {one.partition("=")[0] for one in options} <= known
