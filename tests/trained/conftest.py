"""The example's modules, on a language model of two layers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_gemma import TINY, tiny_gemma

from mmflow_bench.learned import assembling

EXAMPLE = Path(__file__).parents[2] / "examples" / "trained"


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """On the path while a test runs, and forgotten after it: their names are short."""
    sys.path.insert(0, str(EXAMPLE))
    yield
    sys.path.remove(str(EXAMPLE))
    for path in EXAMPLE.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """The example sets a number of threads for its process, which is the tests' here."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def without_gemma(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make.py` finds the small language model in the place of Gemma."""
    import make

    monkeypatch.setattr(make, "read_language_model", lambda _: tiny_gemma())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "checkpoints"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_gemma: None) -> Path:
    """A small training in the place of what ships."""
    del without_gemma
    import make
    from runs import Recipe

    make.main(tmp_path / "run", Recipe(**TINY))
    monkeypatch.setattr(assembling, "SHIPPED", tmp_path / "run")
    monkeypatch.setattr(assembling, "read_language_model", lambda _: tiny_gemma())
    return tmp_path / "run"
