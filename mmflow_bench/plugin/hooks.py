"""The hooks, options and fixtures of every pytest run of an environment: inert without `flow`.

pytest imports the package's entry point in every project. So what is here is light, and hands what
it finds to be ours to a second plugin, the session, whose hooks judge and report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.options import Option, Place, options_of
from mmflow_bench.plugin import hookspecs
from mmflow_bench.plugin.models import MODEL_FIXTURE
from mmflow_bench.plugin.processes import accelerators, identity_of, pass_on_identity, worker_of
from mmflow_bench.plugin.settings import Settings, is_asked_for

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion
    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling
    from xdist.workermanage import WorkerController

    from mmflow_bench.mechanisms.flow import Flow
    from mmflow_bench.mechanisms.measuring import PlannedMeasurements
    from mmflow_bench.plugin.session import FlowSession

SESSION = "mmflow-session"


def session_of(config: pytest.Config) -> FlowSession:
    """The heavy plugin of this run, registered when first asked for.

    Registered during collection at the latest, it sees every hook from the selection of tests on.
    """
    session: FlowSession | None = config.pluginmanager.get_plugin(SESSION)
    if session is None:
        # Here, not at the top: this is the one import that other projects must not pay for.
        from mmflow_bench.plugin.session import FlowSession

        session = FlowSession(config)
        config.pluginmanager.register(session, SESSION)
    return session


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option for each choice of a run, and an ini key for each lasting one."""
    group = parser.getgroup("mmflow", "information flow in vision-language models (mmflow-bench)")
    for option in options_of(Settings):
        if Place.PYTEST in option.places:
            _add(group, option)
        if Place.INI in option.places:
            several = "; commas between several" if option.is_repeated else ""
            parser.addini(option.key, option.help + several, default=None)


def _add(group: pytest.OptionGroup, option: Option[object]) -> None:
    # argparse formats the texts of its help.
    said = option.help.replace("%", "%%")
    if not option.is_flag:
        # After a space pytest takes a folder for a test path (`refuse_moved_rootdir`).
        said += "; repeatable; write it with `=`" if option.is_repeated else ""
        group.addoption(
            option.flag,
            action="append" if option.is_repeated else "store",
            dest=option.key,
            metavar=option.metavar,
            type=option.number,
            choices=option.choices or None,
            help=said,
        )
        return
    group.addoption(
        option.flag, action="store_true", default=bool(option.off), dest=option.key, help=said
    )
    if option.off:
        group.addoption(option.off_flag, action="store_false", dest=option.key, help=option.off)


def pytest_configure(config: pytest.Config) -> None:
    """Start a run; what the user has typed is checked now, the rest when a test needs it."""
    config.addinivalue_line(
        "markers",
        "mechanism(id, section=, citation=, tier=, suite=, minimum_accuracy=, only_for=, "
        "not_for=, fails_for=, unsaid_of=, gate=): the test decides a mechanism; its docstring "
        "says which",
    )
    identity_of(config)
    if worker_of(config) is None and is_asked_for(config):
        session_of(config).check_options()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of `flow` for every checkpoint, whose slug comes first in the test id."""
    if MODEL_FIXTURE in metafunc.fixturenames:
        session = session_of(metafunc.config)
        session.declare(metafunc.definition)
        slugs = list(session.run.settings.slugs)
        metafunc.parametrize(MODEL_FIXTURE, slugs, ids=slugs, indirect=True, scope="session")


@pytest.fixture(scope="session")
def mmflow_measurements(request: pytest.FixtureRequest) -> Iterator[PlannedMeasurements]:
    """What the checkpoint of this test does on its samples; one per checkpoint and process."""
    yield from session_of(request.config).measurements(request.param)


@pytest.fixture
def flow(
    request: pytest.FixtureRequest, mmflow_measurements: PlannedMeasurements
) -> Iterator[Flow]:
    """The information flow of the checkpoint: `flow("question -> last", "ChooseAttr")`.

    Comparing what it returns is a three-way question: an assertion on it passes, fails, or ends as
    `inconclusive` when the interval straddles the threshold.
    """
    yield from session_of(request.config).flow(request.node, mmflow_measurements)


@pytest.fixture
def flow_snapshot(request: pytest.FixtureRequest) -> SnapshotAssertion:
    """Compares a value with the baseline of the checkpoint: `assert flow_snapshot == value`.

    Floats are compared with the tolerance that is stored beside them.
    """
    return session_of(request.config).snapshot(request.node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Keep tests that read one measurement on one worker, for xdist's default distribution."""
    if config.getoption("dist", "no") != "load":
        return None
    # Only runs under xdist pay for xdist's schedulers.
    from mmflow_bench.plugin.scheduling import ChosenByCollection

    return ChosenByCollection(config, log)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker per accelerator where one is asked for: each worker loads the checkpoint."""
    # xdist asks before pytest_configure, so that there is no session yet.
    device = str(config.option.mmflow_device or "")
    return len(accelerators()) or None if device.startswith("cuda") else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    pass_on_identity(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """Report a run whose workers have found tests of `flow`: the controller collects none."""
    from mmflow_bench.plugin.scheduling import has_flow_tests

    if has_flow_tests(node.config, ids):
        session_of(node.config)
