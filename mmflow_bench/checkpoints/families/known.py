"""Every family that is known, of this package and of others, and what they know of a photo."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from transformers import PretrainedConfig

from mmflow_bench.checkpoints.additions import FAMILIES as GROUP
from mmflow_bench.checkpoints.additions import added
from mmflow_bench.checkpoints.families.layout import ImageLayout, ProcessedImage
from mmflow_bench.checkpoints.families.recognising import of_type
from mmflow_bench.checkpoints.families.record import Family
from mmflow_bench.checkpoints.families.single_view import single_grid

_BY_STRUCTURE = Family(name="by structure", model_types=(), layout=single_grid)
"""Language models, and everything else that no record speaks of."""


@cache
def own_families() -> tuple[Family, ...]:
    """Those of this folder: every file that defines a record is one."""
    # Found, not listed, so that a family is a file and nothing else; this file defines none.
    files = pkgutil.iter_modules([str(Path(__file__).parent)], f"{__package__}.")
    modules = [import_module(file.name) for file in files if file.name != __name__]
    defined = (value for module in modules for value in vars(module).values())
    return tuple(value for value in defined if isinstance(value, Family))


@cache
def added_families() -> tuple[Family, ...]:
    """Those of other packages; a CheckpointError where one registers something else."""
    return tuple(added(GROUP, Family))


def families() -> tuple[Family, ...]:
    return (*own_families(), *added_families())


def family_of(config: PretrainedConfig) -> Family:
    # Models built in tests and by other programs may have configurations without a type.
    return next(of_type(families(), getattr(config, "model_type", None)), _BY_STRUCTURE)


def image_layout(image: ProcessedImage) -> ImageLayout | None:
    """What the image positions show, or None where that is not known of the processor.

    The family's own layout is asked first and all others after it. Each answers only if
    configuration and pixels are such as it speaks of, so a new type of a known structure (a LLaVA
    with Pixtral's tower) is laid out right without a record.
    """
    own = family_of(image.config).layout
    layouts = dict.fromkeys([own, *(family.layout for family in families())])
    return next((found for find in layouts if (found := find(image)) is not None), None)
