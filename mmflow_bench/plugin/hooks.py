"""pytest's hooks, each one a call into a module that has the reasons."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from mmflow_bench.plugin import hookspecs
from mmflow_bench.plugin.models import (
    MODEL_FIXTURE,
    model_of,
    parametrize,
    refuse_moved_rootdir,
)
from mmflow_bench.plugin.run import RUN, WORKER_INPUT, WORKER_OUTPUT, accelerators, new_run, run_of
from mmflow_bench.plugin.settings import is_asked_for

REPORT_ROW = "mmflow_row"
"""Attribute of a test report; xdist carries it to the controller."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add this plugin's own hooks."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Start a run; what the user has typed is checked now, the rest when a test needs it."""
    config.addinivalue_line(
        "markers",
        "mechanism(id, minimum_accuracy=0.9): the test decides this row of the catalogue",
    )
    run = config.stash[RUN] = new_run(config)
    if run.worker is None and is_asked_for(config):
        refuse_moved_rootdir(config)
        if run.settings.is_model_explicit:
            _ = run.specs
        _ = run.against


def pytest_report_header(config: pytest.Config) -> list[str]:
    """One line that says what is tested."""
    if not is_asked_for(config):
        return []
    from mmflow_bench.reports.escaping import plain

    settings = run_of(config).settings
    measured = settings.measurement
    questions = measured.questions.name if measured.questions else "the checkpoint's own"
    store = measured.cache or "off"
    models = ", ".join(map(plain, settings.models))
    return [f"mmflow: {models}; questions: {plain(questions)}; store: {plain(store, 1000)}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of `flow` for every checkpoint."""
    if MODEL_FIXTURE in metafunc.fixturenames:
        parametrize(metafunc, list(run_of(metafunc.config).settings.slugs))


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Select, plan and mark the tests of mechanisms; other tests are left alone."""
    if not any(model_of(item) for item in items):
        yield
        return
    from mmflow_bench.plugin.comparing import configure_extension
    from mmflow_bench.plugin.expecting import expect
    from mmflow_bench.plugin.planning import deselect, plan

    run = run_of(config)
    # Before -k and -m take tests away, and after syrupy has counted what is deselected here:
    # it would take the baselines of deselected tests for orphans otherwise.
    configure_extension(run, items)
    yield
    before = len(items)
    deselect(config, items, run.settings)
    run.deselected = before - len(items)
    run.selected = sum(model_of(item) is not None for item in items)
    run.plan = plan(items)
    expect(run, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Judge a mechanism when its test has ended, then compare it with its baseline."""
    if model_of(item) is None:
        return (yield)
    from mmflow_bench.plugin.judging import judge

    try:
        result = yield
    except Exception as error:
        judge(item, error)
        raise
    judge(item, None)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the report of a mechanism its outcome, its row and its JUnit properties."""
    report = yield
    if model_of(item) is not None:
        from mmflow_bench.plugin.judging import finish

        finish(item, call, report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Count undecided mechanisms apart from skipped tests."""
    row: dict[str, Any] | None = getattr(report, REPORT_ROW, None)
    if row is None or row["outcome"] != "inconclusive":
        return None
    return "inconclusive", "?", (str(row["verdict"]).upper(), {"yellow": True})


def pytest_sessionstart(session: pytest.Session) -> None:
    """Collect rows where they are reported from: everywhere but on a worker."""
    run = run_of(session.config)
    if run.worker is None:
        session.config.pluginmanager.register(RowCollector(session.config), "mmflow-rows")


class RowCollector:
    """Gathers rows and workers' facts for the closing table; one per reporting process."""

    def __init__(self, config: pytest.Config) -> None:
        """Collect for the run of `config`."""
        self._run = run_of(config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the row of a mechanism, or the fact that a test broke."""
        from mmflow_bench.reports.rows import MechanismRow

        row = getattr(report, REPORT_ROW, None)
        if row is not None:
            self._run.rows.append(MechanismRow.from_dict(row))
        elif report.failed and getattr(report, "mmflow_model", None):
            self._run.crashes.append(
                {"model": report.mmflow_model, "test": report.nodeid, "message": _message(report)}
            )

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Pass the id of this run on, so that all workers write to one run folder."""
        node.workerinput[WORKER_INPUT] = {
            "run_id": self._run.run_id,
            "started": self._run.started,
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker has learned."""
        sent = (getattr(node, "workeroutput", None) or {}).get(WORKER_OUTPUT)
        if sent:
            self._run.merge(json.loads(sent))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send a worker's facts to the controller, or write the run folders."""
    run = run_of(session.config)
    if run.worker is not None:
        session.config.workeroutput[WORKER_OUTPUT] = json.dumps(run.facts)  # type: ignore[attr-defined]
    elif run.rows or run.crashes:
        from mmflow_bench.plugin.closing import write_runs
        from mmflow_bench.plugin.gating import conclude
        from mmflow_bench.plugin.reporting import write_reports

        write_runs(run)
        conclude(run, session)
        write_reports(run)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the closing tables."""
    run = run_of(config)
    if run.worker is None:
        from mmflow_bench.plugin.closing import summarize

        summarize(run, terminalreporter)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep tests that read one measurement on one worker, for xdist's default distribution."""
    if config.getoption("dist", "no") != "load":
        return None
    from xdist.scheduler import LoadScheduling

    from mmflow_bench.plugin.scheduling import ChosenByCollection, FlowScheduling

    grouped = FlowScheduling(config, log)
    grouped.slugs = frozenset(run_of(config).settings.slugs)
    return ChosenByCollection(grouped, LoadScheduling(config, log))


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker per accelerator where one is asked for: each worker loads the checkpoint."""
    device = str(config.option.mmflow_device or "")
    return len(accelerators()) or None if device.startswith("cuda") else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Empty the store once for --refresh, before workers fill it again."""
    run = run_of(config)
    if run.settings.measurement.refresh:
        from mmflow_bench.plugin.fixtures import refresh_stores

        refresh_stores(run)


def _message(report: pytest.TestReport) -> str:
    """The first line of what a test raised."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr).strip()
    return text.splitlines()[0].removeprefix("Failed: ") if text else "no message"
