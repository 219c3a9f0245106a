"""Attention sinks: the norms of patches, and the flow without those that stand out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task, drawn
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.tables import SweepRow

NORM_ROWS = ("sink-norms", "sink-count", "sink-count-projected")
"""Mechanisms whose curve is the distribution of norms; of several, the first is drawn."""
_STEPS = 20
"""Steps of the distribution up to the threshold."""
_KINDS = {
    "sinks": ("patches of outstanding norm (Figs. 5, 16)", "without_sinks"),
    "decoder-sinks": ("massive patches", "without_decoder_sinks"),
}
WITHOUT_SINKS = frozenset(
    f"{of}_{without}->question" for _, without in _KINDS.values() for of in ("related", "other")
)
"""Edges that are drawn here and nowhere else."""


def sink_figures(record: RunRecord, *, window: int) -> Iterator[Figure]:
    """The distribution of norms, and the flow with and without either kind of sinks.

    Args:
        record: The run.
        window: Width of the windows that are drawn, in layers.
    """
    yield _norms(record)
    sweeps = [row for row in record.samples if row["method"] == "masked"]
    for name, (words, without) in _KINDS.items():
        edges = {
            f"{of}{suffix}->question": f"{of} patches{said}"
            for suffix, said in (("_patches", ""), (f"_{without}", " without sinks"))
            for of in ("related", "other")
        }
        rows = [row for row in sweeps if row["edge"] in edges and row["window"] == window]
        has_any = any(row["edge"] in WITHOUT_SINKS for row in rows)
        yield Figure(
            id=f"without-{name}",
            title=f"Related and other patches, with and without {words}",
            caption=f"Relative change of the answer's probability. Windows of {window} layers.",
            y_label="change in probability",
            panels=_panels(rows, edges, record.alpha) if has_any else (),
            is_folded=True,
        )


def _norms(record: RunRecord) -> Figure:
    known = {
        name: [row for row in record.rows if row.id == name and row.curve] for name in NORM_ROWS
    }
    rows = next((found for found in known.values() if found), [])
    return Figure(
        id="patch-norms",
        title="Norms of patches (Fig. 15)",
        caption=f"Share of the patches by norm before the projector. Patches beyond step {_STEPS}, "
        "the threshold, are sinks; the last step has all that are beyond.",
        y_label="share of the patches",
        x_label=f"norm, in steps of threshold / {_STEPS}",
        panels=tuple(
            Panel(
                title=row.task,
                series=(Series(name="patches", values=row.curve, samples=row.n or 0),),
            )
            for row in rows
        ),
        is_folded=True,
    )


def _panels(rows: Sequence[SweepRow], edges: dict[str, str], alpha: float) -> tuple[Panel, ...]:
    return tuple(
        Panel(
            title=task,
            series=tuple(
                drawn(
                    name,
                    np.array([row["relative_change"] for row in chosen], dtype=float),
                    [row["image_id"] for row in chosen],
                    style=style,
                    alpha=alpha,
                )
                for style, (edge, name) in enumerate(edges.items())
                if (chosen := [row for row in of_task if row["edge"] == edge])
            ),
        )
        for task, of_task in by_task(rows, lambda row: row["task"]).items()
    )
