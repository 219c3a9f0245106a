"""How a run has ended: whether all of it was run, and whether all of it was kept."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.baselines.gate import GATE, GateDecision
from mmflow_bench.plugin.run import Run
from mmflow_bench.runs.facts import Facts
from mmflow_bench.runs.folder import has_results, write_text

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

ENDED = frozenset(
    {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
)
"""Exit codes of a run that has come to its end."""


def unfinished(run: Run, session: pytest.Session) -> list[str]:
    """Why a run is not complete, a line each; nothing where every selected test has ended.

    What -k, -m, --tasks and --mechanisms have deselected was not to be run.
    """
    said = list(run.lost_workers)
    code = session.exitstatus
    # A second Ctrl-C keeps pytest from setting the exit code of the first.
    if run.is_interrupted and code in ENDED:
        code = pytest.ExitCode.INTERRUPTED
    if code not in ENDED:
        said.append(f"the run has ended early (exit code {int(code)})")
    left = run.selected - len(run.ended)
    if left < 0 and not run.lost_workers:
        said.append("no worker has come to its end and said what was to be run")
    if left > 0:
        why = session.shouldfail or session.shouldstop
        stopped = f" ({why})" if isinstance(why, str) else ""
        said.append(f"{left} of {run.selected} tests of `flow` have not come to an end{stopped}")
    return said


def is_stopping(run: Run, session: pytest.Session | None) -> bool:
    """Whether pytest runs no further test: after Ctrl-C, -x, --maxfail, or what stopped it."""
    asked = (session.shouldfail, session.shouldstop) if session is not None else ()
    return run.is_interrupted or any(asked)


def stamp(run: Run, why: Sequence[str]) -> None:
    """Let the results of every checkpoint say that the run is not complete."""
    for slug in run.settings.slugs:
        run.facts.setdefault(slug, unopened(run, slug))
    for facts in run.facts.values():
        facts["unfinished"] = list(why)


def unopened(run: Run, slug: str) -> Facts:
    """Facts of a checkpoint that could not be opened: only what its spec says."""
    spec = run.specs[slug]
    source, revision = str(spec.source), spec.revision
    return {"checkpoint": {"name": spec.name, "source": source, "revision": revision}, "tasks": {}}


def fail_unkept(run: Run, session: pytest.Session) -> None:
    """Make a run fail of which something was not kept: nobody can look at it again."""
    if not run.unkept:
        return
    if session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    known = run.gate.why if run.gate is not None else ()
    if run.settings.gate == "none":
        return
    run.gate = GateDecision(False, tuple(dict.fromkeys((*known, *run.unkept))))
    for folder in filter(has_results, map(run.folder, run.settings.slugs)):
        with run.noticing("the gate's decision was not kept"):
            write_text(folder / GATE, run.gate.as_json(run.settings.gate))


def lost_worker(node: WorkerController, error: object) -> str:
    """A worker that has ended by itself, in words; with the signal where that is known."""
    process = getattr(getattr(node.gateway, "_io", None), "popen", None)
    code = None
    if process is not None:
        # Its pipes are closed a moment before it can be asked.
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=1)
    how = f"exit code {code}" if code else str(error)
    if code is not None and code < 0:
        how = f"killed by {signal.Signals(-code).name}"
    return f"worker {node.gateway.id} was lost: {how}"


def interrupt_on_terminate() -> bool:
    """Take SIGTERM for Ctrl-C, so that a job that is cancelled leaves its results behind.

    Whether that could be done: somebody else may have plans for the signal.
    """
    is_free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not is_free or threading.current_thread() is not threading.main_thread():
        return False
    signal.signal(signal.SIGTERM, _interrupt)
    return True


def _interrupt(*_: object) -> None:
    # Once: whoever asks again must not keep the results from being written.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt("SIGTERM")
