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


CELLS = {
    "accuracy_removed": "right without the image",
    "accuracy_exchanged": "right with another image",
    "probability_removed": "probability without it",
    "saturation": "drops saturate near",
}
"""Columns of a table of tasks: the name in results.json, and the head."""


def blind_cells(count: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of a task; empty where a number is not known."""
    blind = count.get("blind") or {}
    return tuple(_shown(blind.get(name)) for name in CELLS)


def blind_note(count: Mapping[str, Any]) -> str:
    """What stands beside every curve of a task; nothing where it was not measured."""
    blind = count.get("blind")
    if not blind:
        return ""
    probability = _shown(blind["probability_removed"])
    said = f" (probability {probability})" if probability else ""
    return f"{_shown(blind['accuracy_removed'])} right without the image{said}{_saturating(blind)}"


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
