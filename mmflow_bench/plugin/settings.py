"""The settings of one pytest run, read once from options, environment and ini file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from mmflow_bench.baselines.gate import POLICIES
from mmflow_bench.baselines.tolerances import DEFAULTS, parse_tolerance
from mmflow_bench.checkpoints.patch_rule import PatchRule
from mmflow_bench.checkpoints.registry import DEFAULT_MODEL
from mmflow_bench.measurements.following import Followed
from mmflow_bench.measurements.settings import (
    MeasurementSettings,
    parse_batch_size,
    parse_cache,
    parse_globs,
    parse_images,
    parse_limit,
    parse_model_args,
    parse_questions,
    parse_window,
)
from mmflow_bench.plugin.slugs import model_slugs

Argument = TypeVar("Argument")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the options of a run decide."""

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    """Registered names, folders or hub ids."""
    is_model_explicit: bool = False
    """Whether option, environment or ini file named a model."""
    model_args: Mapping[str, str] = field(default_factory=dict)
    trust_remote_code: bool = False
    input: str | None = None
    """`paper` or `hub`; None leaves it to the checkpoint."""
    patches: PatchRule | None = None
    """Rule for related patches; None is overlap."""
    measurement: MeasurementSettings = field(default_factory=MeasurementSettings)
    mechanisms: tuple[str, ...] = ()
    """Glob patterns over mechanism ids; every mechanism when empty."""
    window: int | None = None
    """Width in layers; None scales with the depth."""
    alpha: float = 0.05
    multiplicity: str = "none"
    inconclusive: str = "report"
    baseline_missing: str = "new"
    is_missing_explicit: bool = False
    """Whether the user has said what a missing baseline is."""
    baseline: str | None = None
    """What checkpoints are compared with, sample by sample."""
    tolerance: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULTS))
    """Margin by unit."""
    gate: str = "mechanisms"
    is_gate_explicit: bool = False
    reports: tuple[str, ...] = ()
    baselines: Path | None = None
    """Folder of the baselines; None looks beside the ini file, then into the package."""
    output: Path | None = None
    """Folder that run folders are made in; None is `.mmflow/runs` where pytest was started."""
    update_baselines: bool = False
    twins: bool = True
    """Whether verdicts by knockout are checked by the other methods."""

    @property
    def slugs(self) -> dict[str, str]:
        """Slug -> model, in the order given."""
        return model_slugs(self.models)

    def described(self) -> dict[str, object]:
        """The settings as JSON values, for results.json."""
        measured = self.measurement
        return {
            "window": self.window or "auto",
            "limit": measured.limit,
            "seed": measured.seed,
            "tasks": list(measured.tasks),
            "mechanisms": list(self.mechanisms),
            "questions": str(measured.questions) if measured.questions else None,
            "images": str(measured.images) if measured.images else None,
            "batch_size": measured.batch_size or "auto",
            "device": measured.device,
            "alpha": self.alpha,
            "multiplicity": self.multiplicity,
            "inconclusive": self.inconclusive,
            "baseline_missing": self.baseline_missing,
            "baseline": self.baseline,
            "tolerance": dict(self.tolerance),
            "gate": self.gate,
            "model_args": dict(self.model_args),
            "input": self.input or "auto",
            "patches": self.patches or "overlap",
            "follow": measured.follow,
            "self_test": measured.self_test,
            "from_cache": measured.from_cache,
            "twins": self.twins,
        }


REPORTS = ("html", "md", "github", "junit")


def parse_reports(text: str | None) -> tuple[str, ...]:
    """The reports that --report names.

    Raises:
        ValueError: One of them is not known.
    """
    chosen = parse_globs(text)
    if unknown := [name for name in chosen if name not in REPORTS]:
        raise ValueError(f"--report takes {', '.join(REPORTS)}, got {', '.join(unknown)}")
    return tuple(dict.fromkeys(chosen))


def settings_from(config: pytest.Config) -> Settings:
    """The settings of this run: command line before environment before ini file.

    Raises:
        pytest.UsageError: A value cannot be understood.
    """
    option = config.option
    models = _models(config)
    baseline, gate = _value(config, "baseline"), _value(config, "gate")
    default_gate = "regression" if baseline else "mechanisms"
    return Settings(
        models=models or (DEFAULT_MODEL,),
        is_model_explicit=bool(models),
        model_args=_parsed(parse_model_args, option.mmflow_model_args),
        trust_remote_code=option.mmflow_trust_remote_code,
        input=option.mmflow_input,
        patches=option.mmflow_patches,
        measurement=_measurement(config),
        mechanisms=parse_globs(option.mmflow_mechanisms),
        window=_parsed(parse_window, _value(config, "window") or "auto"),
        alpha=_alpha(_value(config, "alpha")),
        multiplicity=_choice(config, "multiplicity", ("none", "holm", "bh"), "none"),
        inconclusive=_choice(config, "inconclusive", ("report", "fail"), "report"),
        baseline_missing=_choice(
            config, "baseline_missing", ("fail", "inconclusive", "new"), "new"
        ),
        is_missing_explicit=_value(config, "baseline_missing") is not None,
        baseline=baseline,
        tolerance=_parsed(parse_tolerance, _value(config, "tolerance")),
        gate=_choice(config, "gate", POLICIES, default_gate),
        is_gate_explicit=gate is not None,
        reports=_parsed(parse_reports, _value(config, "report")),
        baselines=_ini_folder(config, "mmflow_baselines"),
        output=_absolute(config, _value(config, "output")),
        update_baselines=bool(getattr(option, "update_snapshots", False)),
        twins=option.mmflow_twins,
    )


def _measurement(config: pytest.Config) -> MeasurementSettings:
    option = config.option
    questions, images = _asked_samples(config)
    cache = _parsed(parse_cache, _value(config, "cache"))
    if option.mmflow_from_cache and option.mmflow_refresh:
        raise pytest.UsageError("--from-cache reads the store and --refresh empties it; drop one")
    limit = _value(config, "limit")
    return MeasurementSettings(
        questions=questions,
        images=images,
        tasks=parse_globs(option.mmflow_tasks),
        limit=_parsed(parse_limit, limit) if limit else None,
        seed=option.mmflow_seed,
        cache=_absolute(config, cache),
        from_cache=option.mmflow_from_cache,
        refresh=option.mmflow_refresh,
        batch_size=_parsed(parse_batch_size, _value(config, "batch_size") or "auto"),
        device=_value(config, "device") or "auto",
        offline=option.mmflow_offline,
        self_test=option.mmflow_self_test,
        follow=Followed(_choice(config, "follow", tuple(Followed), Followed.ANSWER)),
    )


def _asked_samples(config: pytest.Config) -> tuple[Path | None, Path | str | None]:
    """Questions and images; images alone are those of the paper's question sets."""
    folder, option = config.invocation_params.dir, config.option
    asked, place = option.mmflow_questions, option.mmflow_images
    images = _parsed(partial(parse_images, folder=folder), place) if place else None
    asked = asked or ("gqa" if place else None)
    return _parsed(partial(parse_questions, folder=folder), asked) if asked else None, images


def _models(config: pytest.Config) -> tuple[str, ...]:
    if config.option.mmflow_model:
        return tuple(dict.fromkeys(config.option.mmflow_model))
    text = os.environ.get("MMFLOW_MODEL") or config.getini("mmflow_model")
    return tuple(dict.fromkeys(parse_globs(text)))


def _value(config: pytest.Config, name: str) -> str | None:
    """The text of an option, or of the ini key of the same name."""
    chosen = getattr(config.option, f"mmflow_{name}")
    if chosen is not None:
        return str(chosen)
    ini = config.getini(f"mmflow_{name}")
    return str(ini) if ini else None


def _choice(config: pytest.Config, name: str, choices: tuple[str, ...], default: str) -> str:
    value = _value(config, name) or default
    if value not in choices:
        raise pytest.UsageError(
            f"mmflow_{name} takes {'|'.join(choices)}, got {value!r} in {config.inipath}"
        )
    return value


def _alpha(text: str | None) -> float:
    try:
        alpha = float(text or "0.05")
    except ValueError:
        alpha = float("nan")
    if not 0 < alpha < 0.5:
        raise pytest.UsageError(f"--alpha takes an error rate in (0, 0.5), got {text!r}")
    return alpha


def _parsed(parse: Callable[[Argument], Value], text: Argument) -> Value:
    try:
        return parse(text)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


def _absolute(config: pytest.Config, path: str | Path | None) -> Path | None:
    """A path as the user meant it: relative to where pytest was started."""
    return config.invocation_params.dir / os.path.expanduser(path) if path else None


def _ini_folder(config: pytest.Config, name: str) -> Path | None:
    value = str(config.getini(name) or "")
    if not value:
        return None
    return (config.inipath.parent if config.inipath else config.rootpath) / value
