"""The hooks of a run with tests of `flow`; registered by `hooks` once there is something to do.

Each hook is a call into the module that has the reasons.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from syrupy.assertion import SnapshotAssertion

from mmflow_bench.baselines.gate_set import GateRow
from mmflow_bench.errors import MMFlowError
from mmflow_bench.mechanisms.comparisons import Recorder, current_recorder
from mmflow_bench.mechanisms.declaring import require_applicable
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.guarded import GuardedMeasurements
from mmflow_bench.mechanisms.looking import said_of
from mmflow_bench.mechanisms.measuring import PlannedMeasurements
from mmflow_bench.mechanisms.verdicts import Reported
from mmflow_bench.plugin.closing import show_tables, summarize, write_runs
from mmflow_bench.plugin.collecting import (
    declare,
    deselect,
    expect,
    own_gate,
    plan,
    questions,
    refuse_unknown,
)
from mmflow_bench.plugin.ending import (
    fail_unkept,
    interrupt_on_terminate,
    is_stopping,
    lost_worker,
    stamp,
    unfinished,
)
from mmflow_bench.plugin.gating import conclude
from mmflow_bench.plugin.golden import configure_extension, snapshot_for
from mmflow_bench.plugin.judging import RECORDER, REPORT_ROW, finish, judge
from mmflow_bench.plugin.keeping import keep
from mmflow_bench.plugin.looking_on import look_on
from mmflow_bench.plugin.models import model_of
from mmflow_bench.plugin.multiplicity import settle
from mmflow_bench.plugin.opening import OtherMeasurements, looking_at, opened, refresh_stores
from mmflow_bench.plugin.paired import measure_baseline, refuse_baseline
from mmflow_bench.plugin.reporting import write_reports
from mmflow_bench.plugin.run import declaration_of, new_run, refuse_moved_rootdir
from mmflow_bench.reports.escaping import plain
from mmflow_bench.reports.warned import Warned
from mmflow_bench.runs.folder import require_writable
from mmflow_bench.runs.rows import MechanismRow

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

WORKER_OUTPUT = "mmflow_facts"


class FlowSession:
    """The plugin's own part of one pytest session."""

    def __init__(self, config: pytest.Config) -> None:
        self.run = new_run(config)
        self.session: pytest.Session | None = None
        # Of the store, say; what is logged while a test runs is otherwise shown if it fails.
        config.add_cleanup(Warned.hear(self.run.notice).close)
        self._takes_sigterm = self.run.worker is None and interrupt_on_terminate()

    def pytest_unconfigure(self) -> None:
        """Give SIGTERM back to the system."""
        if self._takes_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def check_options(self) -> None:
        """Look for the checkpoints and the baseline that the user has named.

        Raises:
            pytest.UsageError: One of them is not there.
        """
        refuse_moved_rootdir(self.run.config)
        if self.run.settings.is_model_explicit:
            _ = self.run.specs
        _ = self.run.paired

    def pytest_report_header(self) -> str:
        settings = self.run.settings
        measured = settings.measurement
        questions = measured.questions.name if measured.questions else "the checkpoint's own"
        store = measured.cache or "off"
        models = ", ".join(map(plain, settings.models))
        asked = f"questions: {plain(questions)}; suite: {measured.suite}"
        return f"mmflow: {models}; {asked}; store: {plain(store, 1000)}"

    def declare(self, test: pytest.Function) -> None:
        declare(self.run, test)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Select, plan and mark the tests of mechanisms; other tests are left alone."""
        run = self.run
        if not any(map(model_of, items)):
            yield
            return
        # Before -k and -m take tests away, and after syrupy has counted what is deselected here:
        # it would take the baselines of deselected tests for orphans otherwise.
        configure_extension(run, items)
        if why := self.refusal(items):
            self.refuse(why, items)
        yield
        before = len(items)
        deselect(config, items, run.settings)
        run.deselected = before - len(items)
        if run.settings.stat == "anytime":
            run.questions = questions(items)
        else:
            run.plan = plan(items)
        run.own_gate |= own_gate(items)
        expect(run, items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count what will be run, after every plugin has deselected what it does."""
        self.session = session
        self.run.selected = sum(model_of(item) is not None for item in session.items)

    def refusal(self, items: list[pytest.Item]) -> str:
        """Why what is asked for cannot be run, or not be kept; empty where it can.

        After an error of collection nothing is known of names: one may be in the file that has it.
        """
        try:
            if not items[0].session.testsfailed:
                refuse_unknown(self.run, items)
            # Last: it leaves the folder behind.
            if not self.run.config.option.collectonly:
                require_writable(self.run.output)
        except MMFlowError as error:
            return str(error)
        return ""

    def refuse(self, why: str, items: list[pytest.Item]) -> None:
        """Run nothing, for a name that the user has typed.

        Raises:
            pytest.UsageError: Here; where a worker raises, xdist takes it for a crash.
        """
        if self.run.worker is None:
            raise pytest.UsageError(why)
        self.run.refusal = why
        items.clear()

    def measurements(self, slug: str) -> Iterator[PlannedMeasurements]:
        """What a checkpoint does on its samples, kept and closed when its last test has ended."""
        planned = opened(self.run, slug)
        yield planned
        is_ending = is_stopping(self.run, self.session)
        if looking := self.run.looking.pop(slug, None):
            if not is_ending:
                look_on(self.run, slug, looking)
            planned = looking.closing()
            if said := said_of(looking):
                self.run.notice(f"{slug}: {said}")
        keep(self.run, slug, planned, self.run.folder(slug))
        # Before the baseline is loaded, which may need its memory.
        self.run.opened.pop(slug, None)
        planned.opened.close()
        if is_ending:
            refuse_baseline(self.run, slug, "the run has ended before the baseline was measured")
        else:
            measure_baseline(self.run, slug, planned)

    def flow(self, node: pytest.Item, planned: PlannedMeasurements) -> Iterator[Flow]:
        """The flow of one test, whose comparisons are recorded while it runs."""
        flow = self._flow(node, planned)
        recorder = node.stash[RECORDER] = Recorder()
        token = current_recorder.set(recorder)
        yield flow
        current_recorder.reset(token)
        # Tests live as long as the run, and every estimate keeps thousands of replicates.
        del node.stash[RECORDER]

    def _flow(self, node: pytest.Item, planned: PlannedMeasurements) -> Flow:
        run, minimum = self.run, declaration_of(node).minimum_accuracy
        if run.settings.stat == "anytime" and (slug := model_of(node)):
            looking = looking_at(run, slug)
            # Here, so that the test itself is timed like any other.
            return looking.flow(looking.look_for(node.nodeid), minimum)
        others = OtherMeasurements(run, planned)
        guarded = GuardedMeasurements(planned, minimum)
        return Flow(guarded, alpha=run.settings.alpha, others=others)

    def snapshot(self, node: pytest.Item) -> SnapshotAssertion:
        return snapshot_for(node)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Judge a mechanism when its test has ended, then compare it with its baseline."""
        if model_of(item) is None:
            return (yield)
        try:
            if flow := item.funcargs.get("flow"):  # type: ignore[attr-defined]
                require_applicable(declaration_of(item), flow)
            result = yield
        except Reported as error:
            # An observation has been made: pytest need not hear of more than of a test that passes.
            judge(self.run, item, error)
            return None
        except Exception as error:  # Of any kind: `judge` knows which endings are verdicts.
            judge(self.run, item, error)
            raise
        judge(self.run, item, None)
        return result

    # Outermost: pytest's own wrapper has applied the user's xfail marks by then.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if model_of(item) is not None:
            finish(self.run, item, call, report)
        return report

    # Undecided is not skipped; before pytest's own, which takes every skipped report for that.
    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        row = getattr(report, REPORT_ROW, None)
        if row is None or row["outcome"] != "inconclusive":
            return None
        return "inconclusive", "?", (str(row["verdict"]).upper(), {"yellow": True})

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        self.run.is_interrupted = True

    def pytest_runtest_logstart(self) -> None:
        self.run.has_begun = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the row of a mechanism, or the fact that a test broke, where it is reported from."""
        if self.run.worker is not None:
            return
        if report.when == "teardown" and hasattr(report, "mmflow_model"):
            self.run.ended.add(report.nodeid)
        row = getattr(report, REPORT_ROW, None)
        if row is not None:
            self.run.rows.append(MechanismRow.from_dict(row))
        elif report.failed and (model := self._model_of(report)):
            crash = {"model": model, "test": report.nodeid, "message": _message(report)}
            self.run.crashes.append(crash)

    def _model_of(self, report: pytest.TestReport) -> str | None:
        """The checkpoint of a test that broke; by its id where its worker died with it."""
        if hasattr(report, "mmflow_model") or not hasattr(report, "node"):
            return getattr(report, "mmflow_model", None)
        first = report.nodeid.partition("[")[2]
        return next((slug for slug in self.run.settings.slugs if first.startswith(slug)), None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self) -> None:
        """Empty the store once for --refresh, before workers fill it again."""
        if self.run.settings.measurement.refresh:  # A worker would empty it under the others.
            refresh_stores(self.run)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController, error: object) -> None:
        # A worker that was interrupted says so after it has ended.
        if error is not None and not hasattr(node, "workeroutput"):
            self.run.lost_workers.append(lost_worker(node, error))
        # A worker that has crashed has sent nothing.
        sent = (getattr(node, "workeroutput", None) or {}).get(WORKER_OUTPUT)
        if sent:
            learned = json.loads(sent)
            self.run.refusal = self.run.refusal or learned["refusal"]
            self.run.learn(learned["facts"])
            self.run.unkept += [one for one in learned["unkept"] if one not in self.run.unkept]
            for line in learned["notices"]:
                self.run.notice(line)
            self.run.own_gate |= dict.fromkeys(map(GateRow.from_dict, learned["gate"]))
            # Every worker collects all tests.
            self.run.selected = max(self.run.selected, learned["selected"])
            self.run.deselected = max(self.run.deselected, learned["deselected"])

    # Last: fixtures that are torn down here keep their tables first, and syrupy sets its exit code.
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send a worker's facts to the controller, or write the run folders."""
        run = self.run
        if run.worker is not None:
            learned = {
                "facts": run.facts,
                "gate": [row.as_dict() for row in run.own_gate],
                "selected": run.selected,
                "deselected": run.deselected,
                "refusal": run.refusal,
                "unkept": run.unkept,
                "notices": run.notices,
            }
            session.config.workeroutput[WORKER_OUTPUT] = json.dumps(learned)  # type: ignore[attr-defined]
            return
        if run.refusal:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
            return
        if not run.config.option.collectonly:
            # What a process could not keep is missing in the results that follow.
            run.unfinished = [*unfinished(run, session), *run.unkept]
        if run.rows or run.crashes:
            stamp(run, run.unfinished)
            settle(run, session)
            write_runs(run)
        elif run.unfinished and run.has_begun:
            run.notice(f"nothing was kept: {'; '.join(run.unfinished)}")
        conclude(run, session)
        write_reports(run)
        fail_unkept(run, session)

    # Outermost: the tables come before tracebacks, and what they amount to is the last line.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, object, object]:
        if self.run.worker is not None:
            return (yield)
        show_tables(self.run, terminalreporter)
        result = yield
        summarize(self.run, terminalreporter)
        return result


def _message(report: pytest.TestReport) -> str:
    """The first line of what a test raised."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr).strip()
    return text.splitlines()[0].removeprefix("Failed: ") if text else "no message"
