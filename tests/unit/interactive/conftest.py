from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import mmflow_bench as mm
from mmflow_bench.interactive.run import Run


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests, so that each thing is measured once."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def run(cache: Path) -> Iterator[Run]:
    with mm.open("planted/mini", tasks=["ChooseAttr"], limit=4, cache=cache) as opened:
        yield opened
