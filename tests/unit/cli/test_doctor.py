"""What stands in the way of a run is said before it is begun."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import mmflow_bench.checkpoints.hardware as hardware_module
import mmflow_bench.cli.doctor as doctor_module
from mmflow_bench.cli.doctor import Finding, _time
from mmflow_bench.cli.main import main

CHECKS = ("torch", "device", "memory", "store", "hub", "cost")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured, and no hub is asked."""
    monkeypatch.setattr(doctor_module, "cost", lambda _: Finding("cost", "none"))
    monkeypatch.setattr(doctor_module, "hub_answers", lambda: False)
    monkeypatch.setattr(hardware_module, "DRIVER", Path("/no/driver"))


def looked(tmp_path: Path, *arguments: str) -> tuple[Result, dict[str, tuple[bool, str]]]:
    given = [f"--mmflow-cache={tmp_path / 'store'}", *arguments]
    told = CliRunner().invoke(main, ["doctor", *given])
    lines = [line.split(maxsplit=2) for line in told.output.splitlines()]
    return told, {name: (sign == "PROBLEM", said) for sign, name, said in lines}


def test_where_nothing_stands_in_the_way_it_says_so(tmp_path: Path) -> None:
    told, found = looked(tmp_path, "--model=planted/mini", "--device=cpu")
    assert told.exit_code == 0
    assert tuple(found) == CHECKS
    assert not any(is_problem for is_problem, _ in found.values())
    assert torch.__version__ in found["torch"][1]
    assert str(tmp_path / "store") in found["store"][1]
    assert found["hub"][1].startswith("does not answer")
    assert looked(tmp_path, "--offline")[1]["hub"][1] == "not asked (--offline)"


def test_a_store_at_a_url_is_tried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMFLOW_CACHE", str(tmp_path / "front"))
    url = f"file://{tmp_path}/disk"
    _, found = looked(tmp_path, "--model=planted/mini", f"--mmflow-cache={url}")
    is_problem, said = found["store"]
    assert not is_problem
    assert said.startswith(f"{url} can be read and written; in front of it {tmp_path}/front")
    (tmp_path / "disk" / "mmflow-bench.txt").unlink()
    (tmp_path / "disk").rmdir()
    (tmp_path / "disk").write_text("no folder")
    told, found = looked(tmp_path, "--model=planted/mini", f"--mmflow-cache={url}")
    assert (told.exit_code, found["store"][0]) == (1, True)
    assert url in found["store"][1]


def test_a_driver_that_this_torch_cannot_use_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware_module, "DRIVER", tmp_path)
    monkeypatch.setattr(torch.version, "cuda", None)
    told, found = looked(tmp_path, "--device=cpu")
    assert told.exit_code == 1
    assert found["torch"][0]
    assert "install the build for its CUDA" in found["torch"][1]


@pytest.mark.parametrize(("free", "is_problem"), [(2_000_000_000, False), (900_000_000, True)])
def test_weights_are_held_against_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, is_problem: bool
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with open(tmp_path / "model.safetensors", "wb") as weights:
        weights.truncate(1_000_000_000)
    monkeypatch.setattr(doctor_module, "free_memory", lambda _: free)
    told, found = looked(tmp_path, f"--model={tmp_path}", "--device=cpu")
    assert found["memory"][0] == is_problem == bool(told.exit_code)
    assert f"1.0 GB of weights, {free / 1e9:.1f} GB free" in found["memory"][1]


def test_what_is_not_there_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(doctor_module, "hub_answers", lambda: False)
    file = tmp_path / "file"
    file.write_text("")
    told, found = looked(tmp_path, f"--model={tmp_path}/nope", f"--mmflow-cache={file}")
    assert told.exit_code == 1
    assert told.output.count("which is not there") == 1
    assert found["memory"][0]
    assert found["store"][0]
    assert "cost" not in found


@pytest.mark.parametrize(
    ("seconds", "said"), [(40, "40 s"), (300, "5 min"), (10_000, "2.8 h")], ids=str
)
def test_time_is_said_in_words(seconds: float, said: str) -> None:
    assert _time(seconds) == said


@pytest.mark.slow
def test_the_cost_is_measured_on_a_few_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(doctor_module, "hub_answers", lambda: False)
    given = ("--model=planted/mini", "--tasks=ChooseAttr", "--limit=4", "--mechanisms=imgq-drop")
    told, found = looked(tmp_path, *given)
    assert told.exit_code == 0, told.output
    assert re.match(r"about \d+ s for \d+ samples \([\d.e-]+ s each, ", found["cost"][1])
    assert not list((tmp_path / "store").rglob("*.parquet"))
