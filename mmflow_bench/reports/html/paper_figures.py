"""The paper's figures redrawn for one checkpoint, from the samples of its run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from mmflow_bench.reports.blind import blind_note
from mmflow_bench.reports.html.figures import (
    Figure,
    Panel,
    Series,
    by_task,
    mean_curves,
    overlaid,
)
from mmflow_bench.reports.html.part_figures import (
    FEWEST_WIDTHS,
    PART_EDGES,
    part_figures,
    window_study,
)
from mmflow_bench.reports.html.piece_figures import piece_figures
from mmflow_bench.reports.html.removal_figures import removal_figures
from mmflow_bench.reports.html.semantics_figures import semantics_figures
from mmflow_bench.reports.html.sink_figures import NORM_ROWS, WITHOUT_SINKS, sink_figures
from mmflow_bench.runs.curves import SampledCurves, SweptCurves
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.rows import MechanismRow, grouped

MASKED = "masked"
METHODS = (MASKED, "unnormalised", "counterfactual")
CHANGE = "change in probability"
PROBABILITY = "probability"


class _Drawn(NamedTuple):
    """A figure of the paper: which edges it compares."""

    title: str
    caption: str
    edges: tuple[str, ...]


_EDGES = {
    "into-last": _Drawn(
        "What the last position reads (Fig. 3)",
        "Relative change of the answer's probability when an edge into the last position is cut in "
        "a window of layers.",
        ("question->last", "image->last", "last->last"),
    ),
    "image-to-question": _Drawn(
        "From the image to the question (Fig. 4)",
        "The same for the edge that carries the image into the question.",
        ("image->question",),
    ),
    "patches-to-question": _Drawn(
        "Related and other patches (Fig. 5)",
        "The same for patches that show what is asked about, and for all others.",
        ("related_patches->question", "other_patches->question"),
    ),
    "captions": _Drawn(
        "Captions in the image's place (Fig. 17)",
        "The same where dense captions stand in for the image.",
        ("caption->last",),
    ),
}
_PROBES = {
    "noncapitalized": "answer in lower case",
    "capitalized": "answer capitalised",
    "false_noncapitalized": "false option in lower case",
    "false_capitalized": "false option capitalised",
}
_LENSES = (
    ("normed", "With the final norm, the usual lens."),
    ("raw", "Without the final norm, as the paper's program does it."),
)

Panels = Mapping[str, tuple[Series, ...]]
"""Task -> its curves."""


def figures_of(record: RunRecord, baseline: RunRecord | None = None) -> list[Figure]:
    """Every figure that the run has numbers for, a baseline's drawn behind; the paper's first."""
    figures = [
        *_edge_figures(record, baseline),
        *_lens_figures(record, baseline),
        *part_figures(record, window=main_width(record), y_label=CHANGE),
        *window_study(record, y_label=CHANGE),
        *piece_figures(record, window=main_width(record), y_label=CHANGE),
        *semantics_figures(record),
        *_window_figures(record),
        *sink_figures(record, window=main_width(record)),
        *removal_figures(record),
        *_second_opinions(record),
        *_other_curves(record),
    ]
    return [_with_blind(figure, record) for figure in figures if figure.panels]


def _with_blind(figure: Figure, record: RunRecord) -> Figure:
    """Beside every curve of a knockout, how far a drop can go for want of the image."""
    if figure.y_label != CHANGE:
        return figure
    tasks = record.results.model_dump()["data"]["tasks"]
    panels = [
        replace(panel, note=blind_note(tasks.get(panel.title, {}))) for panel in figure.panels
    ]
    return replace(figure, panels=tuple(panels))


def main_width(record: RunRecord) -> int:
    """The window of the run: the widest that its masked sweeps have in common, 0 without any."""
    widths = Counter[int]()
    for one in _sweeps(record, method=MASKED):
        widths[one.window] += len(one.question_ids)
    setting = record.results.settings.get("window")
    if isinstance(setting, int) and setting in widths:
        return setting
    return max(widths, key=lambda width: (widths[width], width), default=0)


def shown_edge(edge: str) -> str:
    return edge.replace("->", " → ")


def _edge_figures(record: RunRecord, baseline: RunRecord | None) -> Iterator[Figure]:
    known = PART_EDGES.union(WITHOUT_SINKS, *(figure.edges for figure in _EDGES.values()))
    others = sorted({one.edge for one in _sweeps(record, method=MASKED)} - known)
    targets = grouped(others, lambda edge: edge.split("->")[-1].replace("_", " "))
    rest = {
        f"into-{target.replace(' ', '_')}": _Drawn(
            f"Other edges into {target}",
            f"The same for the other edges into {target} that were measured.",
            tuple(edges),
        )
        for target, edges in targets.items()
    }
    for name, figure in [*_EDGES.items(), *rest.items()]:
        yield Figure(
            id=name,
            title=figure.title,
            caption=f"{figure.caption} Windows of {main_width(record)} layers.",
            y_label=CHANGE,
            panels=_with_baseline(partial(_edge_panels, figure.edges), record, baseline),
            is_folded=name in rest,
        )


def _edge_panels(edges: Iterable[str], record: RunRecord) -> Panels:
    curves = _sweeps(record, method=MASKED, window=main_width(record))
    return _means(curves, "edge", {edge: shown_edge(edge) for edge in edges}, record.alpha)


def _lens_figures(record: RunRecord, baseline: RunRecord | None) -> Iterator[Figure]:
    for variant, note in _LENSES:
        yield Figure(
            id=f"lens-{variant}",
            title=f"Logit lens at the last position, {variant} (Fig. 6)",
            caption=f"Probability that the lens gives to a word at each depth. {note}",
            y_label=PROBABILITY,
            x_label="layer (-1 is the embedding)",
            first=-1,
            panels=_with_baseline(partial(_lens_panels, variant), record, baseline),
            is_folded=variant == "raw",
        )


def _lens_panels(variant: str, record: RunRecord) -> Panels:
    curves = [one for one in record.lens if one.variant == variant]
    return _means(curves, "probe", _PROBES, record.alpha)


def _window_figures(record: RunRecord) -> Iterator[Figure]:
    by_edge = grouped(_sweeps(record, method=MASKED), lambda one: one.edge)
    for edge, curves in sorted(by_edge.items()):
        widths = sorted({one.window for one in curves})
        names = {width: f"{width} layers" if width > 1 else "1 layer" for width in widths}
        of_task = grouped(curves, lambda one: one.task).values()
        # Where there are more, they are one study.
        few = [one for these in of_task if 1 < len(these) < FEWEST_WIDTHS for one in these]
        several = _means(few, "window", names, record.alpha)
        title = f"Window size: {shown_edge(edge)} (Figs. 7, 8)"
        caption = "The same edge cut in windows of several widths."
        yield _folded(f"window-{_in_ids(edge)}", title, caption, several)


def _second_opinions(record: RunRecord) -> Iterator[Figure]:
    """One figure for each edge that was cut by several methods, on the samples of all of them."""
    width = main_width(record)
    at_width = _sweeps(record, window=width)
    for edge in sorted({one.edge for one in at_width if one.method != MASKED}):
        curves: list[SweptCurves] = []
        of_edge = (one for one in at_width if one.edge == edge and one.method in METHODS)
        for of_task in by_task(of_edge, lambda one: one.task).values():
            common = set.intersection(*(set(one.question_ids) for one in of_task))
            curves += [one.of_questions(common) for one in of_task]
        panels = _means(curves, "method", {name: name for name in METHODS}, record.alpha)
        title = f"Second opinions: {shown_edge(edge)}"
        caption = "The same edge cut by other methods, on the samples that all of them saw."
        yield _folded(f"methods-{_in_ids(edge)}", title, caption, panels)


def _other_curves(record: RunRecord) -> Iterator[Figure]:
    """Curves of mechanisms that read neither an edge nor the lens: Jaccard, pruning, one's own."""
    others = [
        row for row in record.rows if row.curve and not _is_drawn(row) and row.id not in NORM_ROWS
    ]
    for name, rows in grouped(others, lambda row: row.id).items():
        panels = {
            row.task: (Series(name=row.name or name, values=row.curve, samples=row.n or 0),)
            for row in rows
        }
        title = f"{name}: {rows[0].statement}"
        caption = f"The curve that the verdict was read from ({rows[0].citation or 'own'})."
        figure = _folded(f"curve-{name}", title, caption, panels)
        yield replace(figure, y_label=rows[0].unit or "value", x_label="layer")


def _folded(id: str, title: str, caption: str, panels: Panels) -> Figure:
    drawn_panels = _panels(panels)
    return Figure(
        id=id, title=title, caption=caption, y_label=CHANGE, panels=drawn_panels, is_folded=True
    )


def _in_ids(edge: str) -> str:
    return edge.replace("->", "-to-")


def _is_drawn(row: MechanismRow) -> bool:
    """Whether another figure has the curve: an estimate is named after the edge or the probe."""
    if "->" in row.name or "loss without" in row.name:
        return True
    return any(f"{probe} on " in row.name for probe in _PROBES)


def _panels(panels: Panels) -> tuple[Panel, ...]:
    known = {task: tuple(one for one in found if one.values) for task, found in panels.items()}
    return tuple(Panel(title=task, series=series) for task, series in known.items() if series)


def _with_baseline(
    curves: Callable[[RunRecord], Panels], record: RunRecord, baseline: RunRecord | None
) -> tuple[Panel, ...]:
    """The panels of a run, with the baseline's curves behind its own."""
    own = _panels(curves(record))
    if baseline is None:
        return own
    theirs = curves(baseline)
    both = []
    for panel in own:
        behind = [
            overlaid(one, f"{one.name}, {baseline.name}")
            for one in theirs.get(panel.title, ())
            # Layers of decoders of different depth are different layers.
            if len(one.values) == len(panel.series[0].values)
        ]
        both.append(replace(panel, series=(*behind, *panel.series)))
    return tuple(both)


def _sweeps(record: RunRecord, **wanted: object) -> list[SweptCurves]:
    return [
        one
        for one in record.sweeps
        if all(getattr(one, name) == value for name, value in wanted.items())
    ]


def _means(
    curves: Sequence[SampledCurves], by: str, names: Mapping[Any, str], alpha: float
) -> Panels:
    """The mean of each curve that has a name, by task; a name has one style in every panel."""
    return {
        task: mean_curves(of_task, by, names, alpha)
        for task, of_task in by_task(curves, lambda one: one.task).items()
    }
