"""The state of one run, kept on pytest's config: settings, checkpoints, plan, rows, facts.

State only: what is done with it is up to other modules, so that none of them is imported here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import pytest

from mmflow_bench.baselines.gate import GateDecision
from mmflow_bench.baselines.gate_set import GateRow
from mmflow_bench.baselines.golden import packaged_root
from mmflow_bench.baselines.paired_records import BaselineComparison
from mmflow_bench.baselines.sources import Source, find_source
from mmflow_bench.checkpoints.settings import resolve_spec
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import MMFlowError, StoreError
from mmflow_bench.mechanisms.declaring import Declaration
from mmflow_bench.mechanisms.looking import Looking, Question
from mmflow_bench.mechanisms.measuring import Planned, PlannedMeasurements
from mmflow_bench.plugin.processes import RunIdentity, identity_of, worker_of
from mmflow_bench.plugin.settings import Settings, settings_from
from mmflow_bench.runs.facts import Facts, merged
from mmflow_bench.runs.rows import MechanismRow

TestKey = tuple[str, str]
"""Node id of the file or class of a test, and the name of its function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedBaseline:
    """What checkpoints are compared with, sample by sample."""

    source: Source
    spec: CheckpointSpec | None = None
    """Of a checkpoint that has to be measured too."""


@dataclass
class Run:
    """Everything that hooks and fixtures of one pytest session share."""

    config: pytest.Config
    settings: Settings
    identity: RunIdentity
    worker: str | None
    """The id of this xdist worker, or None in a process that reports."""
    plan: dict[str, dict[str, Planned]] = field(default_factory=dict)
    """Slug -> task -> what the selected tests read."""
    questions: dict[str, list[Question]] = field(default_factory=dict)
    """Slug -> the selected tests, where more and more samples are looked at."""
    looking: dict[str, Looking] = field(default_factory=dict)
    """Slug -> the looks at the checkpoint."""
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
    refusal: str = ""
    """Why nothing is run: what a user has asked for by name is not there; workers send theirs."""
    gate: GateDecision | None = None
    """Whether the run passes, once it has ended; None where no gate was asked for."""
    selected: int = 0
    """Tests of `flow` that this process has selected."""
    has_begun: bool = False
    """Whether a test has been started, of `flow` or not."""
    is_interrupted: bool = False
    """Whether Ctrl-C, SIGTERM or `pytest.exit` has ended it."""
    ended: set[str] = field(default_factory=set)
    """Those that have come to their end, by node id."""
    lost_workers: list[str] = field(default_factory=list)
    """Workers that have died, each in a line."""
    unfinished: list[str] = field(default_factory=list)
    """Why the run is not complete, each in a line, once it has ended."""
    unkept: list[str] = field(default_factory=list)
    """What could not be written, each in a line; workers send theirs."""
    deselected: int = 0
    """Tests of `flow` that --mechanisms and --tasks have dropped."""

    # Not when the run starts: a test of something else must not fail for a checkpoint that is gone.
    @cached_property
    def specs(self) -> dict[str, CheckpointSpec]:
        """Slug -> spec of every checkpoint of the run.

        Raises:
            pytest.UsageError: A checkpoint is not known or not there.
        """
        chosen, slugs = self.settings.checkpoint, self.settings.slugs
        try:
            return {slug: resolve_spec(model, chosen) for slug, model in slugs.items()}
        except MMFlowError as error:
            raise pytest.UsageError(str(error)) from error

    @cached_property
    def paired(self) -> PairedBaseline | None:
        """What `--baseline` names.

        None without the option, and, with a notice, where --baseline-missing says that there may be
        none yet.

        Raises:
            pytest.UsageError: There is no such baseline, and there has to be.
        """
        settings, name = self.settings, self.settings.baseline
        if name is None:
            return None
        try:
            source = find_source(
                name,
                roots=self.baseline_roots,
                start=self.config.invocation_params.dir,
                offline=settings.checkpoint.offline,
                allow_incomplete=settings.allow_incomplete,
            )
            is_measured = source.kind == "checkpoint"
            spec = resolve_spec(source.name, settings.checkpoint) if is_measured else None
        except MMFlowError as error:
            if settings.is_missing_explicit and settings.baseline_missing != "fail":
                self.notice(f"baseline: {name} is not there yet; not compared ({error})")
                return None
            raise pytest.UsageError(
                f"--baseline={name}: {error}. --baseline-missing=new lets a run pass "
                "that has none yet"
            ) from error
        return PairedBaseline(source=source, spec=spec)

    @property
    def baseline_roots(self) -> tuple[Path, ...]:
        """Folders that baselines are looked for in; they are written to the first."""
        return (self.settings.baselines or self.config.rootpath / "baselines", packaged_root())

    def folder(self, slug: str) -> Path:
        return self.output / f"{self.identity.started}-{slug}-{self.identity.run_id[:8]}"

    @property
    def output(self) -> Path:
        """The folder that run folders are made in."""
        return self.settings.output or self.own_folder / "runs"

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

    @contextmanager
    def noticing(
        self, what: str, *, of: tuple[type[Exception], ...] = (StoreError,)
    ) -> Iterator[None]:
        """Go on where something is not written, a full disk say; it is said, and the run fails."""
        try:
            yield
        except of as error:
            self.notice(f"{what}: {error}")
            if what not in self.unkept:
                self.unkept.append(what)


RUN = pytest.StashKey[Run]()


def new_run(config: pytest.Config) -> Run:
    run = Run(config, settings_from(config), identity_of(config), worker_of(config))
    config.stash[RUN] = run
    return run


def run_of(config: pytest.Config) -> Run:
    return config.stash[RUN]


def key_of(item: pytest.Item) -> TestKey:
    """What a test has in common with its other sets of parameters."""
    function = getattr(item, "originalname", None) or item.name
    return str(item.parent.nodeid if item.parent else ""), str(function)


def declaration_of(item: pytest.Item) -> Declaration:
    """What a test of `flow` declares; known since it was collected."""
    return run_of(item.config).declared[key_of(item)]


def refuse_moved_rootdir(config: pytest.Config) -> None:
    """Refuse `--model FOLDER` where it makes pytest lose the ini file.

    pytest takes the folder for a test path: the rootdir moves to the common ancestor, the ini file
    is silently dropped, and the tests run with other settings. `--model=FOLDER` is safe.

    Raises:
        pytest.UsageError: That has happened.
    """
    for name, value in pairwise(map(str, config.invocation_params.args)):
        is_ours = value in (config.option.mmflow_model or ())
        is_name = name in ("--model", "--mmflow-model")
        if is_name and is_ours and config.inipath is None and os.path.exists(value):
            raise pytest.UsageError(
                f"a model folder written `{name}={value}`, got `{name} {value}`; with a space "
                "pytest takes the folder for a test path and loses the ini file of the project"
            )
