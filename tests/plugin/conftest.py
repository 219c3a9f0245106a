"""A project whose checkpoints are measured by a table of numbers instead of a decoder."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import WITHOUT_PLUGINS

# pytester forgets what an inner run has imported: what every run needs is imported once, out here.
for name in (
    "pyarrow.parquet",
    "mmflow_bench.baselines.blessing",
    "mmflow_bench.plugin.session",
    "mmflow_bench.reports.html.paper_figures",
    "mmflow_bench.reports.html.samples",
    "mmflow_bench.runs.results",
):
    importlib.import_module(name)

MEASURED = Path(__file__).with_name("measured.py.txt")

SUITE = """
import pytest

@pytest.mark.mechanism("q-last-drop")
@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_question_to_last_drops(flow, task):
    assert flow("question -> last", task).peak <= -0.1

@pytest.mark.mechanism("imgq-drop")
@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_image_to_question_drops(flow, task):
    assert flow("image -> question", task).peak <= -0.1
"""
INI = f"""[pytest]
addopts =
    --import-mode=importlib --strict-markers
    -p no:cacheprovider {WITHOUT_PLUGINS}
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with an ini file and two mechanisms on two tasks, its checkpoints fakes."""
    monkeypatch.delenv("MMFLOW_MODEL", raising=False)
    # Where these tests run under xdist themselves, an inner run must not take itself for a worker.
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MMFLOW_CACHE", str(pytester.path / "store"))
    pytester.makeini(INI)
    (pytester.path / "conftest.py").write_text(MEASURED.read_text())
    (pytester.path / "test_suite.py").write_text(SUITE)
    return pytester


@pytest.fixture
def behave(project: pytest.Pytester) -> Callable[..., None]:
    """Say how the checkpoints of the project behave."""

    def say(**behaviour: Any) -> None:
        (project.path / "behaviour.json").write_text(json.dumps({"all": behaviour}))

    return say


@pytest.fixture
def results(project: pytest.Pytester) -> Callable[..., dict[str, Any]]:
    """The results.json of the last run, of the only model or of one of them."""

    def read(model: str = "*") -> dict[str, Any]:
        paths = project.path.glob(f".mmflow/runs/*-{model}-*/results.json")
        newest = max(paths, key=lambda path: path.stat().st_mtime_ns)
        content: dict[str, Any] = json.loads(newest.read_text())
        return content

    return read


@pytest.fixture(params=["plain", pytest.param("two workers", marks=pytest.mark.slow)])
def run(
    request: pytest.FixtureRequest, project: pytest.Pytester
) -> Callable[..., pytest.RunResult]:
    """Run pytest in one process, and again under xdist."""
    if request.param == "plain":
        return project.runpytest_inprocess
    return lambda *arguments: project.runpytest_subprocess("-n", "2", *arguments)
