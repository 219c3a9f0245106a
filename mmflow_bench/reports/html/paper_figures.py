"""The paper's figures redrawn for one checkpoint, from the samples of its run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmflow_bench.mechanisms.declared import shipped
from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task, drawn, overlaid
from mmflow_bench.reports.reading import RunRecord
from mmflow_bench.reports.rows import MechanismRow

MASKED = "masked"
METHODS = (MASKED, "unnormalised", "counterfactual")
CHANGE = "change in probability"
PROBABILITY = "probability"

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """A figure of the paper: which edges it compares."""

    id: str
    title: str
    caption: str
    edges: tuple[str, ...]


_EDGES = (
    _Drawn(
        id="into-last",
        title="What the last position reads (Fig. 3)",
        caption="Relative change of the answer's probability when an edge into the last position "
        "is cut in a window of layers.",
        edges=("question->last", "image->last", "last->last"),
    ),
    _Drawn(
        id="image-to-question",
        title="From the image to the question (Fig. 4)",
        caption="The same for the edge that carries the image into the question.",
        edges=("image->question",),
    ),
    _Drawn(
        id="patches-to-question",
        title="Related and other patches (Fig. 5)",
        caption="The same for patches that show what is asked about, and for all others.",
        edges=("related_patches->question", "other_patches->question"),
    ),
    _Drawn(
        id="captions",
        title="Captions in the image's place (Fig. 17)",
        caption="The same where dense captions stand in for the image.",
        edges=("caption->last",),
    ),
)
_PROBES = (
    ("noncapitalized", "answer in lower case"),
    ("capitalized", "answer capitalised"),
    ("false_noncapitalized", "false option in lower case"),
    ("false_capitalized", "false option capitalised"),
)


def figures_of(record: RunRecord, baseline: RunRecord | None = None) -> list[Figure]:
    """Every figure that the run has numbers for, the paper's first.

    Args:
        record: The run.
        baseline: Another run, drawn behind it.
    """
    figures = [
        *_edge_figures(record, baseline),
        *_lens_figures(record, baseline),
        *_window_figures(record),
        *_second_opinions(record),
        *_other_curves(record),
    ]
    return [figure for figure in figures if figure.panels]


def main_width(record: RunRecord) -> int:
    """The window of the run: the widest that its masked sweeps have in common, 0 without any."""
    widths: dict[int, int] = {}
    for row in record.samples:
        if row["method"] == MASKED:
            widths[row["window"]] = widths.get(row["window"], 0) + 1
    setting = record.results.settings.get("window")
    if setting in widths:
        return int(setting)
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _edge_figures(record: RunRecord, baseline: RunRecord | None) -> Iterator[Figure]:
    width = main_width(record)
    known = {edge for figure in _EDGES for edge in figure.edges}
    measured = {row["edge"] for row in record.samples if row["method"] == MASKED}
    for figure in _EDGES:
        yield _edge_figure(figure, record, baseline, width=width)
    targets: dict[str, list[str]] = {}
    for edge in sorted(measured - known):
        targets.setdefault(edge.split("->")[-1], []).append(edge)
    for target, edges in targets.items():
        words = target.replace("_", " ")
        rest = _Drawn(
            id=f"into-{target}",
            title=f"Other edges into {words}",
            caption=f"The same for the other edges into {words} that were measured.",
            edges=tuple(edges),
        )
        yield _edge_figure(rest, record, baseline, width=width, is_folded=True)


def _edge_figure(
    figure: _Drawn,
    record: RunRecord,
    baseline: RunRecord | None,
    *,
    width: int,
    is_folded: bool = False,
) -> Figure:
    mine = _edge_panels(record, figure.edges, width)
    theirs = _edge_panels(baseline, figure.edges, main_width(baseline)) if baseline else {}
    return Figure(
        id=figure.id,
        title=figure.title,
        caption=f"{figure.caption} Windows of {width} layers.",
        y_label=CHANGE,
        panels=_panels(mine, theirs, baseline),
        is_folded=is_folded,
    )


def _edge_panels(
    record: RunRecord, edges: Sequence[str], width: int
) -> dict[str, tuple[Series, ...]]:
    panels: dict[str, tuple[Series, ...]] = {}
    for task, rows in by_task(record.samples).items():
        chosen = [row for row in rows if row["method"] == MASKED and row["window"] == width]
        panels[task] = tuple(
            _mean(edge.replace("->", " → "), of_edge, "relative_change", style, record.alpha)
            for style, edge in enumerate(edges)
            if (of_edge := [row for row in chosen if row["edge"] == edge])
        )
    return panels


def _lens_figures(record: RunRecord, baseline: RunRecord | None) -> Iterator[Figure]:
    for variant, note in (
        ("normed", "With the final norm, the usual lens."),
        ("raw", "Without the final norm, as the paper's program does it."),
    ):
        yield Figure(
            id=f"lens-{variant}",
            title=f"Logit lens at the last position, {variant} (Fig. 6)",
            caption=f"Probability that the lens gives to a word at each depth. {note}",
            y_label=PROBABILITY,
            x_label="layer (-1 is the embedding)",
            first=-1,
            panels=_panels(
                _lens_panels(record, variant),
                _lens_panels(baseline, variant) if baseline else {},
                baseline,
            ),
            is_folded=variant == "raw",
        )


def _lens_panels(record: RunRecord, variant: str) -> dict[str, tuple[Series, ...]]:
    panels: dict[str, tuple[Series, ...]] = {}
    for task, rows in by_task(record.lens).items():
        chosen = [row for row in rows if row["variant"] == variant]
        panels[task] = tuple(
            _mean(name, of_probe, "probability", style, record.alpha)
            for style, (probe, name) in enumerate(_PROBES)
            if (of_probe := [row for row in chosen if row["probe"] == probe])
        )
    return panels


def _window_figures(record: RunRecord) -> Iterator[Figure]:
    """One figure for each edge that was measured in windows of several widths (Figs. 7, 8)."""
    masked = [row for row in record.samples if row["method"] == MASKED]
    for edge in sorted({row["edge"] for row in masked}):
        of_edge = [row for row in masked if row["edge"] == edge]
        widths = sorted({row["window"] for row in of_edge})
        if len(widths) < 2:
            continue
        panels = {
            task: tuple(
                _mean(f"{width} layers" if width > 1 else "1 layer", chosen, "relative_change",
                      style, record.alpha)
                for style, width in enumerate(widths)
                if (chosen := [row for row in rows if row["window"] == width])
            )
            for task, rows in by_task(of_edge).items()
        }  # fmt: skip
        several = {task: series for task, series in panels.items() if len(series) > 1}
        yield Figure(
            id=f"window-{edge.replace('->', '-to-')}",
            title=f"Window size: {edge.replace('->', ' → ')} (Figs. 7, 8)",
            caption="The same edge cut in windows of several widths.",
            y_label=CHANGE,
            panels=_panels(several, {}, None),
            is_folded=True,
        )


def _second_opinions(record: RunRecord) -> Iterator[Figure]:
    """One figure for each edge that was cut by several methods, on the samples of all of them."""
    width = main_width(record)
    rows = [row for row in record.samples if row["window"] == width]
    for edge in sorted({row["edge"] for row in rows if row["method"] != MASKED}):
        panels = {}
        for task, of_task in by_task(row for row in rows if row["edge"] == edge).items():
            asked = [{r["question_id"] for r in of_task if r["method"] == m} for m in METHODS]
            common = set.intersection(*(ids for ids in asked if ids))
            panels[task] = tuple(
                _mean(method, chosen, "relative_change", style, record.alpha)
                for style, method in enumerate(METHODS)
                if (
                    chosen := [
                        row
                        for row in of_task
                        if row["method"] == method and row["question_id"] in common
                    ]
                )
            )
        yield Figure(
            id=f"methods-{edge.replace('->', '-to-')}",
            title=f"Second opinions: {edge.replace('->', ' → ')}",
            caption="The same edge cut by other methods, on the samples that all of them saw.",
            y_label=CHANGE,
            panels=_panels(panels, {}, None),
            is_folded=True,
        )


def _other_curves(record: RunRecord) -> Iterator[Figure]:
    """Curves of mechanisms that no figure of the paper is about: one's own."""
    drawn_before = {test.declaration.id for test in shipped()}
    by_id: dict[str, list[MechanismRow]] = {}
    for row in record.rows:
        if row.curve and row.id not in drawn_before:
            by_id.setdefault(row.id, []).append(row)
    for name, rows in by_id.items():
        panels = {
            row.task: (Series(name=row.name or name, values=row.curve, samples=row.n or 0),)
            for row in rows
        }
        yield Figure(
            id=f"curve-{name}",
            title=f"{name}: {rows[0].statement}",
            caption=f"The curve that the verdict was read from ({rows[0].citation or 'own'}).",
            y_label=rows[0].unit or "value",
            x_label="layer",
            panels=_panels(panels, {}, None),
            is_folded=True,
        )


def _panels(
    mine: Mapping[str, tuple[Series, ...]],
    theirs: Mapping[str, tuple[Series, ...]],
    baseline: RunRecord | None,
) -> tuple[Panel, ...]:
    panels = []
    for task, series in mine.items():
        own = tuple(one for one in series if one.values)
        behind = tuple(
            overlaid(one, f"{one.name}, {baseline.name if baseline else ''}")
            for one in theirs.get(task, ())
            if own and len(one.values) == len(own[0].values)
        )
        if own:
            panels.append(Panel(title=task, series=(*behind, *own)))
    return tuple(panels)


def _mean(
    name: str, rows: Iterable[Mapping[str, Any]], column: str, style: int, alpha: float
) -> Series:
    members = list(rows)
    values = np.array([row[column] for row in members], dtype=float)
    return drawn(name, values, [row["image_id"] for row in members], style=style, alpha=alpha)
