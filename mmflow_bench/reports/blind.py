"""What reports say of questions that are answered without their image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmflow_bench.mechanisms.bands import TEXT_ANSWERABLE
from mmflow_bench.mechanisms.numbers import formatted

Tasks = Mapping[str, Mapping[str, Any]]
"""Task -> what became of its samples, with the names of results.json."""


def blind_lines(tasks: Tasks) -> list[str]:
    """A line for each task whose accuracy hardly falls without the image, or with another one."""
    return [
        f"{task} can be answered without its image ({_shown(_blind_accuracy(count))} right "
        f"without it, {_shown(_accuracy(count))} with it){_saturating(count['blind'])}"
        for task, count in tasks.items()
        if count.get("blind") and _accuracy(count) - _blind_accuracy(count) < TEXT_ANSWERABLE
    ]


def blind_cells(count: Mapping[str, Any]) -> tuple[str, str, str]:
    """Accuracy without the image, accuracy with another one, saturation; empty where unknown."""
    blind = count.get("blind") or {}
    names = ("accuracy_removed", "accuracy_exchanged", "saturation")
    removed, exchanged, saturation = (_shown(blind.get(name)) for name in names)
    return removed, exchanged, saturation


def blind_note(count: Mapping[str, Any]) -> str:
    """What stands beside every curve of a task; nothing where it was not measured."""
    removed, *_ = blind_cells(count)
    return f"{removed} right without the image{_saturating(count['blind'])}" if removed else ""


def _saturating(blind: Mapping[str, Any]) -> str:
    saturation = blind["saturation"]
    return "" if saturation is None else f", drops saturate near {_shown(saturation)}"


def _blind_accuracy(count: Mapping[str, Any]) -> float:
    """The higher of the two: either is enough to answer without having seen the image."""
    blind = count["blind"]
    return float(max(blind["accuracy_removed"], blind["accuracy_exchanged"] or 0.0))


def _accuracy(count: Mapping[str, Any]) -> float:
    scored = count["selected"] - sum(count["unscored"].values())
    return float(count["correct"] / scored) if scored else 0.0


def _shown(share: float | None) -> str:
    return "" if share is None else formatted(share, "fraction")
