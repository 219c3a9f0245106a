"""What other packages add through entry points: names of models, and families."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from mmflow_bench.errors import CheckpointError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

MODELS = "mmflow_bench.models"
FAMILIES = "mmflow_bench.families"

T = TypeVar("T")


def added(group: str, kind: type[T]) -> Iterator[T]:
    """What installed packages register: an object of the kind, several, or a function of either.

    Raises:
        CheckpointError: A package registers something else.
    """
    for point in entry_points(group=group):
        value = point.load()
        given = value() if callable(value) else value
        for one in [given] if isinstance(given, kind) else list(given):
            if not isinstance(one, kind):
                raise CheckpointError(
                    f"a {kind.__name__}, or a function that returns a list of them, got "
                    f"{type(one).__name__} (entry point {point.value}); correct that package"
                )
            yield one


def any_added(group: str) -> bool:
    """Whether a package registers anything, without importing it."""
    return bool(entry_points(group=group))


def entry_points(*, group: str) -> EntryPoints:
    # Imported here: it costs as much as the rest of this stage that needs no transformers.
    from importlib import metadata

    return metadata.entry_points(group=group)
