"""What projects pay that have the package installed and ask nothing of it: next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "numpy", "scipy", "pyarrow", "pydantic", "rich")
STAGES = {"inputs", "interventions", "mechanisms", "reports", "runs", "statistics", "store"}
"""Of which a run that asks for nothing imports none."""
CONFTEST = f"""
import sys

def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        own = [name for name in sys.modules if name.startswith("mmflow_bench.")]
        print("stages", *sorted({{name.split(".")[1] for name in own}}))
        print("heavy", *[name for name in {HEAVY} if name in sys.modules])
        print("session", config.pluginmanager.get_plugin("mmflow-session") is not None)
"""


@pytest.fixture
def foreign(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project that has never heard of mechanisms."""
    pytester.makeini("[pytest]\naddopts = -p no:hypothesispytest -p no:jaxtyping")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("def test_plain(): pass\n\n\ndef test_other(): pass")
    return pytester


def said(result: pytest.RunResult) -> dict[str, set[str]]:
    words = [line.split() for line in result.outlines]
    return {w[0]: set(w[1:]) for w in words if w and w[0] in {"stages", "heavy", "session"}}


def test_the_plugin_is_light_to_import() -> None:
    heavy = (*HEAVY, "syrupy", "xdist")
    code = f"import sys, mmflow_bench.plugin; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_run_without_mechanisms_is_left_alone(foreign: pytest.Pytester) -> None:
    result = foreign.runpytest_subprocess()
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*mmflow:*")
    assert not (foreign.path / ".mmflow").exists()
    assert not said(result)["stages"] & STAGES
    assert said(result)["heavy"] == set()
    assert said(result)["session"] == {"False"}


def test_neither_do_its_workers_wake_the_session(foreign: pytest.Pytester) -> None:
    result = foreign.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=2)
    assert said(result)["heavy"] == set()
    assert said(result)["session"] == {"False"}


def test_a_test_of_flow_wakes_it(project: pytest.Pytester) -> None:
    with (project.path / "conftest.py").open("a") as conftest:
        conftest.write(CONFTEST)
    for arguments in ((), ("-n", "2")):
        result = project.runpytest_subprocess(*arguments)
        assert result.ret == 0
        assert said(result)["session"] == {"True"}
