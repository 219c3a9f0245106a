"""Pages with examples in Python say what happens: the examples are run."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.slow
@pytest.mark.parametrize(("page", "examples"), [("python.md", 16), ("trace.md", 8)])
def test_the_examples_of_the_page_are_true(
    page: str, examples: int, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MMFLOW_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(DOCS / page), module_relative=False)
    assert found.attempted >= examples
    assert not found.failed
