"""A campaign at work: one run after the other, each a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmflow_bench.campaigns.asked import Campaign, Part
from mmflow_bench.campaigns.ledger import Entry, Ledger, digest
from mmflow_bench.checkpoints.fingerprint import fingerprint
from mmflow_bench.checkpoints.settings import resolve_spec
from mmflow_bench.errors import MMFlowError
from mmflow_bench.runs.folder import RESULTS
from mmflow_bench.runs.reading import read_run

RUNS = "runs"
PATIENCE = 600.0
"""Seconds in which a run that is stopped finishes its sample and writes its folder."""
State = Literal["done", "stopped", "failed", "known", "left out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a part in this campaign: `known` was done before."""

    part: Part
    state: State
    said: str = ""


def carried_out(
    campaign: Campaign, ledger: Ledger, *, is_again: bool, begin: Callable[[Part], None]
) -> Iterator[Outcome]:
    """Run every part that is not done yet, as far as the hours go.

    A part that fails stops no other.

    Args:
        campaign: What is to be run.
        ledger: What was run, which is kept up to date.
        is_again: Whether parts are run that are done.
        begin: Told of each part before it is run.

    Raises:
        CampaignError: The ledger cannot be written.
        KeyboardInterrupt: The user stops it; what was measured is in the store.
    """
    for part in campaign.parts:
        try:
            asked = digest(part, fingerprint(resolve_spec(part.model, part.settings.checkpoint)))
        except (MMFlowError, OSError) as error:
            yield _kept(ledger, part, _Ended("failed", 0.0, None, str(error)), "")
            continue
        seconds = seconds_left(campaign, part, ledger)
        if ledger.is_done(part, asked) and not is_again:
            yield Outcome(part=part, state="known")
        elif seconds <= 0:
            yield Outcome(part=part, state="left out", said="its hours are used up")
        else:
            begin(part)
            yield _kept(ledger, part, _run(campaign, part, ledger, asked, seconds), asked)


def seconds_left(campaign: Campaign, part: Part, ledger: Ledger) -> float:
    """That the part may take, of the campaign's hours and of its checkpoint's."""
    limits = [(campaign.hours, ledger.seconds()), (part.hours, ledger.seconds(part.model))]
    return min(
        (3600 * hours - used for hours, used in limits if hours is not None), default=float("inf")
    )


@dataclass(frozen=True, slots=True)
class _Ended:
    state: Literal["done", "stopped", "failed"]
    seconds: float
    run: str | None
    said: str


def _kept(ledger: Ledger, part: Part, ended: _Ended, asked: str) -> Outcome:
    before = ledger.of(part)
    entry = Entry(
        model=part.model,
        asked=asked,
        state=ended.state,
        seconds=ended.seconds + (before.seconds if before else 0.0),
        # A run that has left nothing does not take the place of one that has.
        run=ended.run or (before.run if before else None),
        said=ended.said,
    )
    ledger.keep(part, entry)
    return Outcome(part=part, state=ended.state, said=ended.said)


def _run(campaign: Campaign, part: Part, ledger: Ledger, asked: str, seconds: float) -> _Ended:
    folder = campaign.output / RUNS / f"{part.slug}-{part.suite}"
    before = set(folder.glob(f"*/{RESULTS}"))
    command = [sys.executable, "-m", "mmflow_bench", "run", *part.arguments]
    begun = time.monotonic()
    child = subprocess.Popen(
        [*command, f"--mmflow-output={folder}"], cwd=campaign.folder, stdin=subprocess.DEVNULL
    )
    try:
        why = _awaited(child, seconds)
    except BaseException:
        ended = _Ended("stopped", time.monotonic() - begun, None, "it was stopped")
        _kept(ledger, part, ended, asked)
        raise
    taken = time.monotonic() - begun
    made = sorted(set(folder.glob(f"*/{RESULTS}")) - before)
    return _judged(campaign, made, child.returncode, stopped=why, seconds=taken)


def _awaited(child: subprocess.Popen[bytes], seconds: float) -> str:
    """Why a run was stopped, when it has ended; nothing where it did so by itself.

    Raises:
        KeyboardInterrupt: The user stops it.
    """
    try:
        child.wait(None if seconds == float("inf") else seconds)
    except subprocess.TimeoutExpired:
        return f"its hours are used up{_stop(child)}"
    except BaseException:
        _stop(child)
        raise
    return ""


def _stop(child: subprocess.Popen[bytes]) -> str:
    """End a run as Ctrl-C does, which may have reached it already; what else is to be said."""
    child.terminate()
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return f"; it did not end within {PATIENCE:g} s when it was asked to, and was killed"
    finally:
        # Does nothing to one that has ended.
        child.kill()
        child.wait()
    return ""


def _judged(
    campaign: Campaign, made: list[Path], code: int, *, stopped: str, seconds: float
) -> _Ended:
    """What a run has come to, by the folder that it has left."""
    if stopped:
        why = stopped
    elif not made:
        why = f"it has ended without verdicts (exit code {code}); see what it said above"
    else:
        why = read_run(made[-1].parent).results.incomplete
    run = made[-1].parent.relative_to(campaign.output).as_posix() if made else None
    state: Literal["done", "stopped", "failed"] = "stopped" if stopped else "failed"
    return _Ended(state if why else "done", seconds, run, why)
