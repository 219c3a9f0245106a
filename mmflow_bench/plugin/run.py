"""The state of one run, kept on pytest's config: settings, checkpoints, plan, rows, facts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mmflow_bench.plugin.models import resolve_specs
from mmflow_bench.plugin.planning import Plan
from mmflow_bench.plugin.settings import Settings, settings_from

if TYPE_CHECKING:
    from mmflow_bench.baselines.comparison import Comparison
    from mmflow_bench.baselines.gate import GateVerdict
    from mmflow_bench.checkpoints.spec import CheckpointSpec
    from mmflow_bench.plugin.against import Against
    from mmflow_bench.plugin.measuring import PlannedMeasurements
    from mmflow_bench.reports.rows import MechanismRow

WORKER_INPUT = "mmflow_run"
WORKER_OUTPUT = "mmflow_facts"


@dataclass(slots=False)
class Run:
    """Everything that hooks and fixtures of one pytest session share."""

    config: pytest.Config
    run_id: str
    started: str
    """UTC, as in the name of the run folder."""
    plan: Plan = field(default_factory=Plan)
    rows: list[MechanismRow] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Slug -> what was learned of the checkpoint and its data; workers send theirs."""
    opened: dict[str, PlannedMeasurements] = field(default_factory=dict)
    """Slug -> measurements that a test of this process has used."""
    broken: dict[str, str] = field(default_factory=dict)
    """Slug -> why its measurements cannot be opened; tried once, said for every test."""
    crashes: list[dict[str, str]] = field(default_factory=list)
    """Tests that ended without a verdict because something else went wrong."""
    notices: list[str] = field(default_factory=list)
    """Lines for the end of the report; each is said once."""
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    """Slug -> the checkpoint against --baseline."""
    gate: GateVerdict | None = None
    """Whether the run passes, once it has ended; None where no gate was asked for."""
    selected: int = 0
    """Tests of `flow` that this process has selected."""
    deselected: int = 0
    """Tests of `flow` that --mechanisms and --tasks have dropped."""

    @cached_property
    def settings(self) -> Settings:
        """The settings, read when first needed."""
        return settings_from(self.config)

    @cached_property
    def specs(self) -> dict[str, CheckpointSpec]:
        """Slug -> spec of every checkpoint of the run."""
        return resolve_specs(self.settings)

    @cached_property
    def against(self) -> Against | None:
        """What `--baseline` names; None without it, and where it may be missing and is."""
        from mmflow_bench.plugin.against import resolve_baseline

        return resolve_baseline(self)

    @property
    def worker(self) -> str | None:
        """The id of this xdist worker, or None in a process that reports."""
        workerinput = getattr(self.config, "workerinput", None)
        return str(workerinput["workerid"]) if workerinput else None

    def folder(self, slug: str) -> Path:
        """The run folder of one checkpoint."""
        root = self.settings.output or self.own_folder / "runs"
        return root / f"{self.started}-{slug}-{self.run_id[:8]}"

    @property
    def own_folder(self) -> Path:
        """Where results go unless the user says otherwise: beside what was run."""
        return self.config.invocation_params.dir / ".mmflow"

    def keep(self, slug: str, planned: PlannedMeasurements) -> None:
        """Keep what a checkpoint's measurements say of it, before they are closed."""
        self.keep_as(slug, planned, self.folder(slug))

    def keep_as(self, name: str, planned: PlannedMeasurements, folder: Path) -> None:
        """Keep facts under a name, and values of samples in a folder."""
        from mmflow_bench.plugin.facts import facts_of, write_samples

        self.merge({name: facts_of(planned)})
        problem = write_samples(planned, folder, self.worker or "main")
        if problem:
            self.notice(problem)

    def merge(self, facts: Mapping[str, dict[str, Any]]) -> None:
        """Add facts of this process or of a worker; both may have looked at other tasks."""
        for slug, new in facts.items():
            known = self.facts.setdefault(slug, {})
            tasks = {**known.get("tasks", {}), **new.get("tasks", {})}
            noise = max(known.get("noise_floor", 0.0), new.get("noise_floor", 0.0))
            known.update({k: v for k, v in new.items() if v or k not in known})
            known.update(tasks=tasks, noise_floor=noise)

    def notice(self, line: str) -> None:
        """Say a line once at the end of the report."""
        if line not in self.notices:
            self.notices.append(line)


RUN = pytest.StashKey[Run]()


def new_run(config: pytest.Config) -> Run:
    """The run of this session; a worker takes over the controller's id and start."""
    given = getattr(config, "workerinput", {}).get(WORKER_INPUT)
    if given:
        return Run(config, run_id=given["run_id"], started=given["started"])
    started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return Run(config, run_id=uuid.uuid4().hex, started=started)


def run_of(config: pytest.Config) -> Run:
    """The run of this session."""
    return config.stash[RUN]


def accelerators() -> list[str]:
    """Names of the visible CUDA devices, found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    driver = Path("/proc/driver/nvidia/gpus")
    return [str(i) for i, _ in enumerate(driver.iterdir())] if driver.is_dir() else []


def choose_accelerator(run: Run) -> None:
    """Give each worker an accelerator of its own; must come before CUDA is used."""
    devices = accelerators()
    number = (run.worker or "").removeprefix("gw")
    if devices and number.isdecimal() and run.settings.checkpoint.device in {"auto", "cuda"}:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[int(number) % len(devices)]
