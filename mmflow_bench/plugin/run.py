"""The state of one run, kept on pytest's config: settings, checkpoints, plan, rows, facts.

State only: what is done with it is up to the modules above, so that none of them is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

from mmflow_bench.baselines.gate import GateDecision
from mmflow_bench.baselines.gate_set import GateRow
from mmflow_bench.baselines.paired_records import BaselineComparison
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.mechanisms.declaring import Declaration
from mmflow_bench.plugin.facts import Facts, merged
from mmflow_bench.plugin.measuring import PlannedMeasurements
from mmflow_bench.plugin.models import function_of
from mmflow_bench.plugin.plan import Plan
from mmflow_bench.plugin.processes import RunIdentity, identity_of, worker_of
from mmflow_bench.plugin.settings import Settings, settings_from
from mmflow_bench.plugin.subjects import PairedBaseline, resolve_baseline, resolve_specs
from mmflow_bench.runs.rows import MechanismRow

TestKey = tuple[str, str]
"""Node id of the file or class of a test, and the name of its function."""


@dataclass
class Run:
    """Everything that hooks and fixtures of one pytest session share."""

    config: pytest.Config
    settings: Settings
    identity: RunIdentity
    worker: str | None
    """The id of this xdist worker, or None in a process that reports."""
    plan: Plan = field(default_factory=Plan)
    declared: dict[TestKey, Declaration] = field(default_factory=dict)
    """What the tests of `flow` declare, by where they are."""
    own_gate: dict[GateRow, None] = field(default_factory=dict)
    """What mechanisms that do not ship add to the gate set; workers send theirs."""
    rows: list[MechanismRow] = field(default_factory=list)
    facts: dict[str, Facts] = field(default_factory=dict)
    """Slug -> what was learned of the checkpoint and its data; workers send theirs."""
    opened: dict[str, PlannedMeasurements] = field(default_factory=dict)
    """Slug -> measurements that a test of this process has used."""
    broken: dict[str, str] = field(default_factory=dict)
    """Slug -> why its measurements cannot be opened; tried once, said for every test."""
    crashes: list[dict[str, str]] = field(default_factory=list)
    """Tests that ended without a verdict because something else went wrong."""
    notices: list[str] = field(default_factory=list)
    """Lines for the end of the report; each is said once."""
    comparisons: dict[str, BaselineComparison] = field(default_factory=dict)
    """Slug -> the checkpoint against --baseline."""
    gate: GateDecision | None = None
    """Whether the run passes, once it has ended; None where no gate was asked for."""
    selected: int = 0
    """Tests of `flow` that this process has selected."""
    deselected: int = 0
    """Tests of `flow` that --mechanisms and --tasks have dropped."""

    # Not when the run starts: a test of something else must not fail for a checkpoint that is gone.
    @cached_property
    def specs(self) -> dict[str, CheckpointSpec]:
        """Slug -> spec of every checkpoint of the run."""
        return resolve_specs(self.settings)

    @cached_property
    def paired(self) -> PairedBaseline | None:
        """What `--baseline` names; None without it, and where it may be missing and is."""
        return resolve_baseline(self.settings, self.config, self.notice)

    def folder(self, slug: str) -> Path:
        """The run folder of one checkpoint."""
        root = self.settings.output or self.own_folder / "runs"
        return root / f"{self.identity.started}-{slug}-{self.identity.run_id[:8]}"

    @property
    def own_folder(self) -> Path:
        """Where results go unless the user says otherwise: beside what was run."""
        return self.config.invocation_params.dir / ".mmflow"

    def learn(self, facts: dict[str, Facts]) -> None:
        """Take over what this process, or a worker, has learned of checkpoints."""
        for slug, new in facts.items():
            self.facts[slug] = merged(self.facts.get(slug, {}), new)

    def notice(self, line: str) -> None:
        """Say a line once at the end of the report."""
        if line not in self.notices:
            self.notices.append(line)


RUN = pytest.StashKey[Run]()


def new_run(config: pytest.Config) -> Run:
    """The run of this session.

    Raises:
        pytest.UsageError: A setting cannot be understood.
    """
    run = Run(config, settings_from(config), identity_of(config), worker_of(config))
    config.stash[RUN] = run
    return run


def run_of(config: pytest.Config) -> Run:
    """The run of this session."""
    return config.stash[RUN]


def key_of(item: pytest.Item) -> TestKey:
    """What a test has in common with its other sets of parameters."""
    return str(item.parent.nodeid if item.parent else ""), function_of(item)


def declaration_of(item: pytest.Item) -> Declaration:
    """What a test of `flow` declares; known since it was collected."""
    return run_of(item.config).declared[key_of(item)]
