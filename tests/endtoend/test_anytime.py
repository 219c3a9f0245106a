"""--stat=anytime: what is measured, when it ends, and that it matters not who has measured it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forked import run_module

pytestmark = pytest.mark.slow

SUITES = Path(__file__).parents[2] / "suites"
# One that is shown at once, one that takes most images, a place, and one of all tasks.
FEW = "q-last-drop,imgq-low-only,q-last-mid,acc-95"
CHOSEN = (
    str(SUITES),
    "--stat=anytime",
    "--model=planted/mini",
    "--tasks=ChooseAttr,QueryAttr",
    f"--mechanisms={FEW}",
)


@dataclass(frozen=True)
class Ended:
    code: int
    printed: str
    folder: Path

    @property
    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "results.json").read_text())
        return found

    @property
    def rows(self) -> list[dict[str, Any]]:
        names = ("id", "task", "verdict", "estimate", "low", "high", "n", "images", "p_value")
        return [{name: row.get(name) for name in names} for row in self.results["mechanisms"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ended]:
    def run(*options: str, store: str = "store", chosen: tuple[str, ...] = CHOSEN) -> Ended:
        place = tmp_path_factory.mktemp("run")
        cache = tmp_path_factory.getbasetemp() / store
        ended = run_module(
            "pytest",
            [*chosen, *options, f"--mmflow-output={place / 'runs'}", "-p", "no:cacheprovider"],
            cwd=SUITES.parent,
            env=os.environ | {"MMFLOW_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        )
        folders = [*(place / "runs").glob("*")]
        assert folders, ended.stdout + ended.stderr
        return Ended(ended.returncode, ended.stdout + ended.stderr, folders[0])

    return run


def test_what_was_measured_ahead_decides_a_run_that_measures_nothing(
    run: Callable[..., Ended], tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.getbasetemp() / "ahead"
    ahead = run_module(
        "mmflow_bench.cli",
        ["measure", *CHOSEN],
        cwd=SUITES.parent,
        env=os.environ | {"MMFLOW_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
    )
    assert ahead.returncode == 0, ahead.stderr
    assert "mechanisms looked at" in ahead.stderr
    found = run("--from-cache", store="ahead")
    assert found.code == 0, found.printed
    assert found.rows == run().rows


def test_a_part_of_the_samples_decides_nothing() -> None:
    refused = run_module(
        "mmflow_bench.cli",
        ["measure", *CHOSEN, "--shard=1/2"],
        cwd=SUITES.parent,
        env=dict(os.environ),
    )
    assert refused.returncode == 2
    assert "--stat=anytime takes all samples, got a part of them (--shard=1/2)" in refused.stderr


@pytest.fixture(scope="module")
def once(run: Callable[..., Ended]) -> Ended:
    return run()


def test_each_mechanism_keeps_the_first_decision_that_it_reaches(once: Ended) -> None:
    assert once.code == 0, once.printed
    images = {(row["id"], row["task"]): row["images"] for row in once.rows}
    # What is shown at once takes few images, that none of them differs takes more, none takes all.
    assert images["q-last-drop", "ChooseAttr"] < images["imgq-low-only", "ChooseAttr"] < 64
    assert {row["verdict"] for row in once.rows} == {"holds"}
    assert once.results["settings"]["stat"] == "anytime"


def test_it_says_how_much_was_looked_at(once: Ended) -> None:
    said = [line for line in once.printed.splitlines() if "of the images on average" in line]
    assert len(said) == 1
    assert "of 128 images, task by task" in said[0]


def test_verdicts_of_all_samples_are_the_same(once: Ended, run: Callable[..., Ended]) -> None:
    every = run("--stat=bootstrap")
    assert [row["verdict"] for row in every.rows] == [row["verdict"] for row in once.rows]
    assert {row["images"] for row in every.rows} == {64, 128}


def test_several_processes_find_the_same(once: Ended, run: Callable[..., Ended]) -> None:
    assert run("-n", "2", store="of two").rows == once.rows


def test_whoever_has_been_asked_before_changes_nothing(
    once: Ended, run: Callable[..., Ended]
) -> None:
    assert run("--mechanisms=q-last-mid", store="by and by").code == 0
    assert run(store="by and by").rows == once.rows


def test_the_store_has_all_that_the_same_run_asks(once: Ended, run: Callable[..., Ended]) -> None:
    again = run("--from-cache")
    assert again.code == 0, again.printed
    assert again.rows == once.rows


def test_a_store_without_it_is_refused(run: Callable[..., Ended]) -> None:
    empty = run("--from-cache", store="empty")
    assert empty.code != 0
    assert "--from-cache" in empty.printed


def test_the_store_decides_as_far_as_it_goes(run: Callable[..., Ended]) -> None:
    few = run("--mechanisms=q-last-drop", store="as far as it goes")
    both = run("--mechanisms=q-last-drop,acc-95", "--from-cache", store="as far as it goes")
    drop, accuracy = (
        [row for row in both.rows if row["id"] == name] for name in ("q-last-drop", "acc-95")
    )
    looked = [(row["task"], row["verdict"], row["images"]) for row in few.rows]
    assert [(row["task"], row["verdict"], row["images"]) for row in drop] == looked
    assert {row["verdict"] for row in accuracy} == {"inconclusive"}
    shown = {row["task"]: row["images"] for row in few.rows}
    assert sum(row["images"] for row in accuracy) <= sum(shown.values()) < 128
    assert "open where the store ends (--from-cache): 1" in both.printed


def test_another_seed_is_another_order(once: Ended, run: Callable[..., Ended]) -> None:
    other = run("--seed=5")
    assert [row["verdict"] for row in other.rows] == [row["verdict"] for row in once.rows]
    assert [row["low"] for row in other.rows] != [row["low"] for row in once.rows]


def test_fewer_images_than_the_first_look_are_looked_at_once(run: Callable[..., Ended]) -> None:
    few = run("--limit=5")
    assert {row["images"] for row in few.rows} <= {5, 10}
    # Of these five nothing is left to be drawn.
    mean = next(row for row in few.rows if row["id"] == "q-last-drop")
    assert mean["high"] - mean["low"] < 1e-3


def test_a_test_that_takes_more_than_a_flow_looks_at_all(
    run: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "test_own.py").write_text(
        "def test_own(flow, tmp_path):\n"
        '    """Own."""\n'
        '    assert flow("question -> last", "ChooseAttr").peak <= -0.1\n'
    )
    own = (str(tmp_path), *CHOSEN[1:3], "--rootdir", str(tmp_path))
    ended = run(chosen=own)
    assert [row["images"] for row in ended.rows] == [64]


@pytest.fixture(scope="module")
def gated(run: Callable[..., Ended]) -> Ended:
    return run("--baseline=planted/mini", "--no-twins")


def test_a_gate_ends_once_all_that_is_compared_is_decided(gated: Ended) -> None:
    assert gated.code == 0, gated.printed
    compared = json.loads((gated.folder / "comparison.json").read_text())["rows"]
    assert {row["verdict"] for row in compared} == {"unchanged"}
    assert all(0 < row["images"] < 64 for row in compared)
    orders = {name: told["order"] for name, told in gated.results["data"]["tasks"].items()}
    assert set(orders) == {"ChooseAttr", "QueryAttr"}
    assert all(order["seen"] < 1 for order in orders.values())


def test_a_gate_of_several_processes_decides_the_same(
    gated: Ended, run: Callable[..., Ended]
) -> None:
    both = run("--baseline=planted/mini", "--no-twins", "-n", "2", store="of two")
    one, other = (json.loads((e.folder / "comparison.json").read_text()) for e in (gated, both))
    assert one["rows"] == other["rows"]


def test_a_run_that_is_there_serves_as_the_baseline(
    gated: Ended, run: Callable[..., Ended]
) -> None:
    base = run("--stat=bootstrap", "--no-twins")
    ended = run(f"--baseline={base.folder}", "--no-twins")
    assert ended.code == 0, ended.printed
    one, other = (json.loads((e.folder / "comparison.json").read_text()) for e in (gated, ended))
    assert [row["images"] for row in one["rows"]] == [row["images"] for row in other["rows"]]
    assert {row["verdict"] for row in other["rows"]} == {"unchanged"}


def test_a_gate_finds_a_change(run: Callable[..., Ended]) -> None:
    other = tuple(one.replace("planted/mini", "planted/no-lower") for one in CHOSEN[:3])
    ended = run(
        "--baseline=planted/base",
        "--no-twins",
        "--mechanisms=lens-lower-rise,imgq-drop1",
        "--tasks=ChooseAttr",
        chosen=other,
    )
    assert ended.code == 1
    compared = json.loads((ended.folder / "comparison.json").read_text())["rows"]
    verdicts = {row["id"]: row["verdict"] for row in compared}
    assert verdicts["lens-lower-rise"] == "changed"
    assert verdicts["imgq-drop1"] == "unchanged"
    assert all(row["images"] < 64 for row in compared)


@pytest.mark.usefixtures("once")
def test_it_says_how_many_are_open_while_it_measures(run: Callable[..., Ended]) -> None:
    told = run("--from-cache", "-o", "log_cli=true", "--log-cli-level=INFO")
    said = [line for line in told.printed.splitlines() if "open at 16 images" in line]
    assert said
    assert all("more" in line for line in said)


@pytest.mark.usefixtures("once")
def test_workers_say_it_on_the_terminal_that_they_share(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    own = {"MMFLOW_CACHE": str(tmp_path_factory.getbasetemp() / "store"), "OMP_NUM_THREADS": "1"}
    place = tmp_path_factory.mktemp("run")
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [
                *(sys.executable, "-m", "pytest", *CHOSEN, "--from-cache", "-n", "2"),
                *(f"--mmflow-output={place}", "-p", "no:cacheprovider"),
            ],
            cwd=SUITES.parent,
            env=os.environ | own,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            check=True,
            timeout=300,
        )
        said = os.read(ours, 2**16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert re.search(r"gw[01]: planted_mini: \d+ open at 16 images of a task", said)
