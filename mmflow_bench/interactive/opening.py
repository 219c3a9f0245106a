"""`mm.open`: a checkpoint by its name, its folder, or as it is in memory."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from mmflow_bench.checkpoints.settings import resolve_spec
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError
from mmflow_bench.interactive.run import Run
from mmflow_bench.interactive.settings import OF_FILES, OpenSettings, Options, settings_from
from mmflow_bench.measurements.selection import unusable
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import parse_questions
from mmflow_bench.reports.progress import MeasuringBar

IN_MEMORY = "model-in-memory"
"""The name of a model that nobody has named."""


def open(
    model: object = None,
    *,
    processor: object = None,
    name: str = IN_MEMORY,
    **options: Unpack[Options],
) -> Run:
    """A checkpoint on its samples, open for questions; nothing is measured yet.

    Args:
        model: A registered name, folder or hub id, or a model of transformers in memory, which
            whatever is asked of it leaves as it was; the default checkpoint when None.
        processor: Of a model in memory: its processor, or its tokenizer if it takes no images.
        name: Of a model in memory, for tables.
        **options: Those of the command line (`Options`), such as `tasks`, `limit` and `questions`.

    Raises:
        MMFlowError: The checkpoint, the questions or the store cannot be opened, or nothing is
            selected.
        TypeError: An option is not known, or is none of what was given.
        ValueError: The value of an option cannot be understood.
    """
    settings = _with_questions(settings_from(options))
    bar = MeasuringBar(sys.stderr)
    if model is None or isinstance(model, str | Path):
        if processor is not None:
            raise TypeError(
                f"a model in memory beside its processor, got {model!r}; a checkpoint that is "
                "named brings its own"
            )
        chosen = settings.checkpoint
        spec = resolve_spec(str(model or _default_name(chosen.names)), chosen)
        found = Measurements.open(spec, settings.measurement, progress=bar)
    else:
        found = in_memory(model, processor, name, settings, options, progress=bar)
    if not found.tasks:
        raise unusable(found.samples)
    return Run(found, settings, bar=bar)


def in_memory(
    model: Any,
    processor: object,
    name: str,
    settings: OpenSettings,
    options: Options,
    **more: Any,
) -> Measurements:
    """Measurements of a model in memory.

    Raises:
        CheckpointError: There is no processor, or the model is none that can be measured.
        TypeError: An option says how to load what is loaded already.
    """
    meaningless = [one for one in OF_FILES if options.get(one) not in (None, False)]
    if meaningless:
        raise TypeError(
            f"no option of loading with a model in memory, got {', '.join(meaningless)}; load it "
            "that way, or give its name"
        )
    if processor is None:
        raise CheckpointError(
            "the processor of a model in memory, or its tokenizer if it takes no images, got "
            "None; give `processor=`"
        )
    chosen = settings.checkpoint
    spec = CheckpointSpec(
        name=name,
        source=type(model).__name__,
        kind="memory",
        device=str(getattr(model, "device", "cpu")),
        compat=chosen.compat,
        paper_model=chosen.stands_for,
    )
    if chosen.patches != spec.patches:
        raise CheckpointError(
            f"--patches=overlap for a model in memory, got {chosen.patches!r}; the other rule "
            "looks at pixels of the paper's input"
        )
    # torch is imported only where a model has brought it along.
    memory = importlib.import_module("mmflow_bench.checkpoints.in_memory")
    with memory.generators_kept():
        module = importlib.import_module("mmflow_bench.measurements.in_memory")
        found: Measurements = module.MeasurementsInMemory(
            model, processor, spec, settings.measurement, **more
        )
    return found


def _default_name(names: tuple[str, ...]) -> str:
    return os.environ.get("MMFLOW_MODEL") or names[0]


def _with_questions(settings: OpenSettings) -> OpenSettings:
    """The settings, with the paper's questions where only images are named."""
    measured = settings.measurement
    if not measured.images or measured.questions:
        return settings
    return replace(settings, measurement=replace(measured, questions=parse_questions("gqa")))
