"""The hooks that every pytest run of an environment has: light, and inert without `flow`.

What they find to be ours they hand to the session (`loading`), whose hooks judge and report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.plugin import hookspecs
from mmflow_bench.plugin.loading import is_asked_for, session_of
from mmflow_bench.plugin.models import MODEL_FIXTURE, parametrize
from mmflow_bench.plugin.processes import accelerators, identity_of, pass_on_identity, worker_of

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling
    from xdist.workermanage import WorkerController


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add this plugin's own hooks."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Start a run; what the user has typed is checked now, the rest when a test needs it."""
    config.addinivalue_line(
        "markers",
        "mechanism(id, section=, citation=, tier=, minimum_accuracy=, only_for=, not_for=, "
        "fails_for=, unsaid_of=, gate=): the test decides a mechanism; its docstring says which",
    )
    identity_of(config)
    if worker_of(config) is None and is_asked_for(config):
        session_of(config).check_options()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of `flow` for every checkpoint."""
    if MODEL_FIXTURE in metafunc.fixturenames:
        session = session_of(metafunc.config)
        session.declare(metafunc.definition)
        parametrize(metafunc, list(session.run.settings.slugs))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Keep tests that read one measurement on one worker, for xdist's default distribution."""
    if config.getoption("dist", "no") != "load":
        return None
    # Only runs under xdist pay for xdist's schedulers.
    from mmflow_bench.plugin.scheduling import chosen_by_collection

    return chosen_by_collection(config, log)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker per accelerator where one is asked for: each worker loads the checkpoint."""
    # xdist asks before pytest_configure, so that there is no session yet.
    device = str(config.option.mmflow_device or "")
    return len(accelerators()) or None if device.startswith("cuda") else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Pass on which run this is."""
    pass_on_identity(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """Report a run whose workers have found tests of `flow`: the controller collects none."""
    from mmflow_bench.plugin.scheduling import has_flow_tests

    if has_flow_tests(node.config, ids):
        session_of(node.config)
