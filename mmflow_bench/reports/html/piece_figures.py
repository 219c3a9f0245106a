"""First and last sub-word of the answer side by side (paper, App. C, Figs. 9 to 11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mmflow_bench.reports.html.figures import Figure, Panel, by_task, mean_curves
from mmflow_bench.runs.curves import SweptCurves
from mmflow_bench.runs.reading import RunRecord

_FIGURES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "pieces-into-last": (
        "What the last position reads, first and last sub-word (Fig. 9)",
        ("question->last", "image->last", "last->last"),
    ),
    "pieces-image-to-question": (
        "From the image to the question, first and last sub-word (Fig. 10)",
        ("image->question",),
    ),
    "pieces-patches-to-question": (
        "Related and other patches, first and last sub-word (Fig. 11)",
        ("related_patches->question", "other_patches->question"),
    ),
}


def piece_figures(record: RunRecord, *, window: int, y_label: str) -> Iterator[Figure]:
    """A figure for each group of edges that was read at the last piece of some answer.

    Both sides are of the samples whose answers have several pieces, in windows of `window` layers.
    """
    last = [one for one in record.pieces if one.window == window]
    first = _first_pieces(record, last)
    for name, (title, edges) in _FIGURES.items():
        names = {edge: edge.replace("->", " → ") for edge in edges}
        pieces = {"first": by_task(first, _task), "last": by_task(last, _task)}
        panels = [
            Panel(title=f"{task}, {piece} sub-word", series=series)
            for task in pieces["last"]
            for piece, of_task in pieces.items()
            if (series := mean_curves(of_task.get(task, ()), "edge", names, record.alpha))
        ]
        yield Figure(
            id=name,
            title=title,
            caption="Relative change of the probability of the first and of the last sub-word, of "
            f"answers that have several. Windows of {window} layers.",
            y_label=y_label,
            panels=tuple(panels),
            is_folded=True,
        )


def _first_pieces(record: RunRecord, last: Sequence[SweptCurves]) -> list[SweptCurves]:
    """The sweeps of the same samples, read at the first piece."""
    known = {_place(one): one for one in record.sweeps}
    pairs = [(known.get(_place(one)), one) for one in last]
    return [one.of_questions(set(other.question_ids)) for one, other in pairs if one is not None]


def _task(one: SweptCurves) -> str:
    return one.task


def _place(one: SweptCurves) -> tuple[str, str, str, int]:
    """What tells sweeps apart, whichever piece they are read at."""
    return one.task, one.edge, one.method, one.window
