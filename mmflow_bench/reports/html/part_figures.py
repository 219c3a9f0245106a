"""Windows of several widths, and the parts of the question (paper, App. B and J)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmflow_bench.reports.html.figures import Figure, Panel, by_task, mean_curves
from mmflow_bench.runs.curves import SweptCurves
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.rows import grouped

_MASKED = "masked"
FEWEST_WIDTHS = 3
"""Widths of a window that make a study of them; of two there is a figure for each edge."""
_OPTIONS = ("true_option", "false_option", "true_option+false_option")
_PARTS = ("true_option", "false_option", "question_without_options", "objects")
_INTO = (*_PARTS, "question_without_objects")
_FIGURES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "parts-into-last": (
        "From parts of the question to the last position (Fig. 32)",
        tuple(f"{part}->last" for part in (*_OPTIONS, *_INTO[2:])),
    ),
    "parts-to-parts": (
        "From the rest of the question to options and objects (Fig. 33)",
        (
            *(f"question_without_options->{option}" for option in _OPTIONS),
            "question_without_objects->objects",
        ),
    ),
    "image-to-parts": (
        "From the image to parts of the question (Fig. 34)",
        tuple(f"image->{part}" for part in _INTO),
    ),
    "other-to-parts": (
        "From other patches to parts of the question (Fig. 35)",
        tuple(f"other_patches->{part}" for part in _INTO),
    ),
    "related-to-parts": (
        "From related patches to parts of the question (Fig. 36)",
        tuple(f"related_patches->{part}" for part in _INTO),
    ),
}
PART_EDGES = frozenset(edge for _, edges in _FIGURES.values() for edge in edges)
"""The edges that these figures draw."""


def part_figures(record: RunRecord, *, window: int, y_label: str) -> Iterator[Figure]:
    """A figure for each kind of edge between parts of the question, in windows of one width."""
    at_width = [one for one in _masked(record) if one.window == window]
    for name, (title, edges) in _FIGURES.items():
        names = {edge: _shown(edge) for edge in edges}
        panels = [
            Panel(title=task, series=series)
            for task, of_task in by_task(at_width, lambda one: one.task).items()
            if (series := mean_curves(of_task, "edge", names, record.alpha))
        ]
        yield Figure(
            id=name,
            title=title,
            caption="Relative change of the answer's probability when words are cut off that play "
            f"a part in the question. Windows of {window} layers.",
            y_label=y_label,
            panels=tuple(panels),
            is_folded=True,
        )


def window_study(record: RunRecord, *, y_label: str) -> Iterator[Figure]:
    """One figure with a panel for each edge that was cut in windows of many widths."""
    panels = []
    for task, of_task in by_task(_masked(record), lambda one: one.task).items():
        for edge, curves in grouped(of_task, lambda one: one.edge).items():
            widths = sorted(one.window for one in curves)
            if len(widths) < FEWEST_WIDTHS:
                continue
            names = {width: f"{width} layers" if width > 1 else "1 layer" for width in widths}
            series = mean_curves(curves, "window", names, record.alpha)
            panels.append(Panel(title=f"{_shown(edge)}, {task}", series=series))
    yield Figure(
        id="window-study",
        title="Window size (Figs. 7, 8)",
        caption="The same edges cut in windows of many widths.",
        y_label=y_label,
        panels=tuple(panels),
        is_folded=True,
    )


def _masked(record: RunRecord) -> list[SweptCurves]:
    return [one for one in record.sweeps if one.method == _MASKED]


def _shown(edge: str) -> str:
    return edge.replace("->", " → ").replace("_", " ").replace("+", " + ")
