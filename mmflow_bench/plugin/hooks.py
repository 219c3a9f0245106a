"""The hooks, options and fixtures of every pytest run of an environment: inert without `flow`.

pytest imports the package's entry point in every project. So next to nothing else of the package is
imported before somebody asks: for one of our options, for help, or for `flow` in a test. What is
found to be ours is handed to a second plugin, the session, whose hooks judge and report.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Generator, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.plugin import hookspecs
from mmflow_bench.plugin.models import MODEL_FIXTURE

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion
    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling
    from xdist.workermanage import WorkerController

    from mmflow_bench.mechanisms.flow import Flow
    from mmflow_bench.mechanisms.measuring import PlannedMeasurements
    from mmflow_bench.plugin.session import FlowSession

SESSION = "mmflow-session"
PARSER = pytest.StashKey[pytest.Parser]()
IS_OFFERED = pytest.StashKey[bool]()
"""Whether our options are in pytest's parser."""
GIVEN = pytest.StashKey[tuple[str, ...]]()
"""The command line, our own options written in full."""


def session_of(config: pytest.Config) -> FlowSession:
    """The heavy plugin of this run, registered when first asked for.

    Registered during collection at the latest, it sees every hook from the selection of tests on.
    """
    session: FlowSession | None = config.pluginmanager.get_plugin(SESSION)
    if session is None:
        offer(config)
        # Here, not at the top: these are the imports that other projects must not pay for.
        from mmflow_bench.plugin.options import given_away
        from mmflow_bench.plugin.session import FlowSession

        session = FlowSession(config)
        given = config.stash.get(GIVEN, ())
        for line in given_away(given):
            session.run.notice(line)
        config.pluginmanager.register(session, SESSION)
    return session


def offer(config: pytest.Config) -> None:
    """Put our options into pytest's parser, once."""
    if config.stash.get(IS_OFFERED, False):
        return
    from mmflow_bench.plugin.options import add_options

    add_options(config.stash[PARSER])
    config.stash[IS_OFFERED] = True


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Keep the parser; options follow when the command line is read, and has some of ours."""
    config: pytest.Config = pluginmanager.get_plugin("pytestconfig")  # type: ignore[assignment]
    config.stash[PARSER] = parser
    if any(name.endswith("conftest.py") for name, _ in pluginmanager.list_name_plugin()):
        # A conftest loads us, and the next hook calls nobody who comes while it runs.
        _read_before(parser, config)


def _read_before(parser: pytest.Parser, config: pytest.Config) -> None:
    """Let the parser be given the command line as the next hook leaves it."""
    parse = parser.parse

    def parse_in_full(args: Sequence[str], namespace: Namespace | None = None) -> Namespace:
        return parse(in_full(config, parser, args), namespace)

    parser.parse = parse_in_full  # type: ignore[method-assign, assignment]


# Outermost: what is left over when every other plugin and conftest is loaded may be ours.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Read as ours what nobody else knows; the parser itself has no name that others may have."""
    if any(os.fspath(arg).startswith("--mmflow-") for arg in args):
        offer(early_config)
        # The value of `--mmflow-model x` is no test path, whose conftests are to be loaded now.
        known = parser.parse_known_args(args, namespace=copy(early_config.option))
        early_config.known_args_namespace.file_or_dir = known.file_or_dir
    result = yield
    args[:] = in_full(early_config, parser, args)
    return result


def in_full(config: pytest.Config, parser: pytest.Parser, args: Sequence[str]) -> list[str]:
    """A command line on which the options that are ours so far have their long names."""
    given, known = [os.fspath(arg) for arg in args], copy(config.option)
    _, unknown = parser.parse_known_and_unknown_args(given, namespace=known)
    # argparse takes an option that it does not know for a path if there is a space in its value.
    unknown += [path for path in known.file_or_dir if path.startswith("--")]
    # Help shows our options; so does a shell that completes them.
    if unknown or known.help or "_ARGCOMPLETE" in os.environ:
        offer(config)
    if unknown:
        from mmflow_bench.plugin.options import renamed

        given = renamed(given, unknown)
    config.stash[GIVEN] = tuple(given)
    return given


def pytest_configure(config: pytest.Config) -> None:
    """Start a run; what the user has typed is checked now, the rest when a test needs it."""
    config.addinivalue_line(
        "markers",
        "mechanism(id, section=, citation=, tier=, suite=, minimum_accuracy=, only_for=, "
        "not_for=, fails_for=, unsaid_of=, gate=): the test decides a mechanism; its docstring "
        "says which",
    )
    if _has_ini_keys(config):
        offer(config)
    if config.stash.get(IS_OFFERED, False) and not hasattr(config, "workerinput"):
        from mmflow_bench.plugin.settings import is_asked_for

        if is_asked_for(config):
            session_of(config).check_options()


def _has_ini_keys(config: pytest.Config) -> bool:
    """Whether some line of the ini file may be for us; pytest warns of keys that nobody knows."""
    if any("mmflow_" in override for override in config.option.override_ini or ()):
        return True
    path = config.inipath
    # A pipe can be read once, and pytest has done so.
    return path is not None and (not path.is_file() or b"mmflow_" in path.read_bytes())


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


# Last but for xdist's own: a project that has a scheduler keeps it.
@pytest.hookimpl(optionalhook=True, trylast=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Keep tests that read one measurement on one worker, for xdist's default distribution."""
    if config.getoption("dist", "no") != "load":
        return None
    # Only runs under xdist pay for xdist's schedulers.
    from mmflow_bench.plugin.scheduling import ChosenByCollection

    return ChosenByCollection(config, log, _slugs(config))


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker per accelerator where one is asked for: each worker loads the checkpoint."""
    # xdist asks before pytest_configure, so that there is no session yet.
    device = str(getattr(config.option, "mmflow_device", None) or "")
    if not device.startswith("cuda"):
        return None
    from mmflow_bench.plugin.processes import accelerators

    return len(accelerators()) or None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    from mmflow_bench.plugin.processes import pass_on_identity

    pass_on_identity(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """Report a run whose workers have found tests of `flow`: the controller collects none."""
    from mmflow_bench.plugin.scheduling import has_flow_tests

    if has_flow_tests(ids, _slugs(node.config)):
        session_of(node.config)


def _slugs(config: pytest.Config) -> frozenset[str]:
    """Slugs of the checkpoints of this run, which ids of tests of `flow` have in them."""
    from mmflow_bench.checkpoints.default import DEFAULT_MODEL, MODEL_VARIABLE

    if not config.stash.get(IS_OFFERED, False) and MODEL_VARIABLE not in os.environ:
        # Most likely another project: settings need not be read to know that they are the default.
        from mmflow_bench.names import slug

        return frozenset({slug(DEFAULT_MODEL)})
    offer(config)
    from mmflow_bench.plugin.settings import settings_from

    return frozenset(settings_from(config).slugs)
