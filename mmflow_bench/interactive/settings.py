"""The options of `mm.open`: those of the command line, by the names of the same fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypedDict

from mmflow_bench.baselines.tolerances import parse_alpha
from mmflow_bench.checkpoints.settings import CheckpointSettings
from mmflow_bench.checkpoints.spec import Compat, InputChoice, PatchRule
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.names import Suite, hint
from mmflow_bench.options import Option, nested, options_of, setting, settings_of


class Options(TypedDict, total=False):
    """How a checkpoint is loaded and asked; each means what the option of that name means."""

    tasks: Sequence[str] | str | None
    suite: Suite | None
    questions: Path | str | None
    images: Path | str | None
    limit: int | float | str | None
    """Images per task: a number, a share or a range such as `"10-20"`."""
    seed: int | None
    window: int | Literal["auto"] | None
    follow: Literal["answer", "reference"] | None
    keep_incorrect: bool | None
    batch_size: int | Literal["auto"] | None
    cache: Path | str | None
    """Folder of the store, or `off`; that of the command line when it is not given."""
    from_cache: bool | None
    refresh: bool | None
    self_test: bool | None
    twins: bool | None
    alpha: float | None
    device: str | None
    dtype: str | None
    """As `model_args` has it: auto, bfloat16, float16 or float32."""
    model_args: Mapping[str, str] | str | None
    stands_for: str | None
    """The paper's checkpoint whose thresholds are asked: `--as` of commands."""
    input: InputChoice | None
    patches: PatchRule | None
    compat: Compat | None
    offline: bool | None
    trust_remote_code: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSettings:
    """Everything that the options of `mm.open` decide."""

    checkpoint: CheckpointSettings = nested(CheckpointSettings)
    measurement: MeasurementSettings = nested(MeasurementSettings)
    alpha: float = setting(0.05, "error rate of every interval", parse=parse_alpha)


OF_FILES = ("device", "dtype", "input", "model_args", "offline", "trust_remote_code")
"""What decides how a checkpoint is loaded, and so means nothing of a model in memory."""


def settings_from(said: Mapping[str, object]) -> OpenSettings:
    """The settings that options stand for.

    Raises:
        TypeError: There is no such option, or it takes no such value.
        ValueError: A value cannot be understood.
    """
    known = tuple(Options.__annotations__)
    for name in said:
        if name not in known:
            raise TypeError(
                f"an option of `open` ({', '.join(known)}), got {name!r}{hint(name, known)}"
            )
    given = {**said, "model_args": _model_args(said)}
    names = _names()
    return settings_of(OpenSettings, lambda option: _value(option, given.get(names[option.key])))


def _names() -> dict[str, str]:
    """Key of an option -> name of its field."""
    records = (CheckpointSettings, MeasurementSettings)
    found = {"mmflow_alpha": "alpha"}
    for record in records:
        named = [one.name for one in fields(record) if "option" in one.metadata]
        found |= dict(zip((o.key for o in options_of(record)), named, strict=True))
    return found


def _model_args(said: Mapping[str, object]) -> str | None:
    """What `model_args` and `dtype` say, as `--model-args` has it."""
    args, dtype = said.get("model_args"), said.get("dtype")
    parts = [f"{k}={v}" for k, v in args.items()] if isinstance(args, Mapping) else []
    parts += [args] if isinstance(args, str) else []
    # A dtype of torch is written `torch.float32`.
    parts += [f"dtype={str(dtype).removeprefix('torch.')}"] if dtype is not None else []
    return ",".join(parts) or None


def _value(option: Option[object], said: Any) -> object | None:
    if said is None:
        return option.otherwise()
    if option.is_flag:
        if not isinstance(said, bool):
            raise TypeError(f"True or False for {option.flag}, got {said!r}")
        return said
    if not isinstance(said, str) and isinstance(said, Sequence):
        said = ",".join(map(str, said))
    text = str(said)
    if option.choices and text not in option.choices:
        meant = hint(text, option.choices)
        raise ValueError(f"{option.flag} takes {', '.join(option.choices)}, got {text!r}{meant}")
    return option.value_of(text, Path())
