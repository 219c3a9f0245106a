"""The settings of one pytest run, read once from options, environment and ini file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mmflow_bench.baselines.tolerances import (
    DECIDED,
    DEFAULT_ALPHA,
    DEFAULTS,
    parse_alpha,
    parse_share,
    parse_tolerance,
)
from mmflow_bench.checkpoints.settings import CheckpointSettings
from mmflow_bench.measurements.settings import MeasurementSettings, parse_questions
from mmflow_bench.names import model_slugs
from mmflow_bench.options import (
    Option,
    Place,
    described,
    listed,
    nested,
    options_of,
    setting,
    settings_of,
)

REPORTS = ("html", "md", "github", "junit")


def parse_reports(text: str) -> tuple[str, ...]:
    """The reports that --report names.

    Raises:
        ValueError: One of them is not known.
    """
    chosen = listed("--report", text, ", ".join(REPORTS))
    if unknown := [name for name in chosen if name not in REPORTS]:
        raise ValueError(f"--report takes {', '.join(REPORTS)}, got {', '.join(unknown)}")
    return tuple(dict.fromkeys(chosen))


def folder_at(text: str, folder: Path) -> Path:
    """A folder, which need not be there yet."""
    return folder / os.path.expanduser(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the options of a run decide."""

    checkpoint: CheckpointSettings = nested(CheckpointSettings)
    measurement: MeasurementSettings = nested(MeasurementSettings)
    alpha: float = setting(
        DEFAULT_ALPHA,
        "error rate of every interval (default 0.05: 95% intervals)",
        metavar="A",
        number=float,
        parse=parse_alpha,
    )
    stat: str = setting(
        "bootstrap",
        "look at all samples once (bootstrap, the default), or at more and more of them in a "
        "random order until every mechanism is decided, with the same error rate (anytime)",
        choices=("bootstrap", "anytime"),
    )
    multiplicity: str = setting(
        "none",
        "withdraw verdicts that do not survive this correction over the run (default none)",
        choices=("none", "holm", "bh"),
    )
    inconclusive: str = setting(
        "report",
        "whether an inconclusive mechanism fails the run (default report)",
        choices=("report", "fail"),
    )
    baseline_missing: str = setting(
        "new",
        "what a mechanism without a stored baseline is (default new: not compared)",
        choices=("fail", "inconclusive", "new"),
    )
    output: Path | None = setting(
        None,
        "where the run folder is made (default .mmflow/runs)",
        flag="--mmflow-output",
        metavar="DIR",
        locate=folder_at,
        places=Place.PYTEST | Place.INI,
    )
    baseline: str | None = setting(
        None,
        "compare with this, sample by sample: a checkpoint (measured too), a run folder, a "
        "name or folder of baselines, hub:OWNER/NAME, or paper/MODEL",
        metavar="BASE",
        # A variable that a CI job has lost must not switch the comparison off.
        is_empty_said=True,
    )
    allow_incomplete: bool = setting(
        False,
        "compare with a run that has ended early too, which is refused as a --baseline otherwise",
        places=Place.PYTEST,
    )
    tolerance: Mapping[str, float] = setting(
        DEFAULTS,
        "how much may move before it is a change: 0.1, 10% or "
        "effect=0.1,probability=0.1,depth=0.1,accuracy=0.05 (the default)",
        metavar="SPEC",
        parse=parse_tolerance,
    )
    """Margin by unit."""
    gate: str = setting(
        "mechanisms",
        "what may fail the run: mechanisms that fail, changes against the baseline, both and "
        "everything undecided (strict), or nothing (default regression with --baseline, else "
        "mechanisms)",
        choices=("strict", "mechanisms", "regression", "none"),
    )
    decided: float = setting(
        DECIDED,
        "share of the comparable rows that must be shown to be unchanged before a gate against a "
        "baseline passes (default 0.8)",
        metavar="SHARE",
        parse=parse_share,
    )
    reports: tuple[str, ...] = setting(
        (),
        "write report.html, summary.md or junit.xml into the run folder; github also fills "
        "the step summary and annotates",
        flag="--report",
        metavar="html,md,github,junit",
        parse=parse_reports,
        places=Place.PYTEST | Place.INI,
    )
    baselines: Path | None = setting(
        None,
        "folder of the baselines, relative to the ini file (default: baselines beside it, "
        "then those of the package)",
        locate=folder_at,
        places=Place.INI,
    )
    update_baselines: bool = False
    said: frozenset[str] = frozenset()
    """Keys of the options that the user has given, wherever."""

    @property
    def models(self) -> tuple[str, ...]:
        """Registered names, folders or hub ids."""
        return self.checkpoint.names

    @property
    def slugs(self) -> dict[str, str]:
        """Slug -> model, in the order given."""
        return model_slugs(self.models)

    @property
    def is_model_explicit(self) -> bool:
        return bool(self.checkpoint.models)

    @property
    def is_missing_explicit(self) -> bool:
        return "mmflow_baseline_missing" in self.said

    @property
    def is_gate_explicit(self) -> bool:
        return "mmflow_gate" in self.said

    def described(self) -> dict[str, object]:
        """The settings as JSON values, for results.json."""
        return described(self)


def settings_from(config: pytest.Config) -> Settings:
    """The settings of this run: command line before environment before ini file.

    Raises:
        pytest.UsageError: A value cannot be understood.
    """
    try:
        settings = settings_of(Settings, lambda option: _value(config, option))
        measured = settings.measurement
        if measured.images and not measured.questions:
            # Said here and not where they are opened: reports and baselines tell the questions.
            gqa = parse_questions("gqa", config.invocation_params.dir)
            measured = replace(measured, questions=gqa)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    said = {o.key for o in options_of(Settings) if _said(config, o) is not None}
    return replace(
        settings,
        measurement=measured,
        gate="regression" if settings.baseline and "mmflow_gate" not in said else settings.gate,
        update_baselines=bool(getattr(config.option, "update_snapshots", False)),
        said=frozenset(said),
    )


def is_asked_for(config: pytest.Config) -> bool:
    """Whether the user has said anything to this plugin; looks at nothing that costs time."""
    given = vars(config.option)
    chosen = (given.get(o.key) for o in options_of(Settings) if not o.off)
    # What may be refused: where workers refuse it, this process is the one that says so.
    refusable = (config.getini(key) for key in ("mmflow_model", "mmflow_limit"))
    return any(value not in (None, False) for value in chosen) or any(refusable)


def _value(config: pytest.Config, option: Option[object]) -> object | None:
    """What the user has chosen; None where they have not, or the option is not one of pytest."""
    said = _said(config, option)
    if isinstance(said, bool):
        return said
    if isinstance(said, Sequence) and not isinstance(said, str):
        # A checkpoint that is named twice is one.
        return tuple(dict.fromkeys(said))
    if said is None or not option.is_said(said):
        return option.otherwise()
    if option.choices and said not in option.choices:
        # argparse has looked at the command line already.
        takes = "|".join(option.choices)
        raise ValueError(f"{option.key} takes {takes}, got {said!r} in {config.inipath}")
    return option.value_of(said, _folder(config, option))


def _said(config: pytest.Config, option: Option[object]) -> str | bool | list[str] | None:
    """The text of an option, its variable or its ini key, or what a flag has become."""
    chosen: object = getattr(config.option, option.key, None)
    if isinstance(chosen, bool | list):
        return chosen
    if chosen is not None:
        return str(chosen)
    text = os.environ.get(option.environment) if option.environment else None
    text = text or (config.getini(option.key) if Place.INI in option.places else None)
    return str(text) if text else None


def _folder(config: pytest.Config, option: Option[object]) -> Path:
    """What a relative path is relative to: where pytest was started, as the user meant it."""
    if Place.PYTEST in option.places:
        return config.invocation_params.dir
    return config.inipath.parent if config.inipath else config.rootpath
