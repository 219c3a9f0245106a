"""Attention sinks: the norms of patches, and the flow without those that stand out."""

from __future__ import annotations

from collections.abc import Iterator

from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task, mean_curves
from mmflow_bench.runs.reading import RunRecord

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
    sweeps = [one for one in record.sweeps if (one.method, one.window) == ("masked", window)]
    for name, (words, without) in _KINDS.items():
        edges = {
            f"{of}{suffix}->question": f"{of} patches{said}"
            for suffix, said in (("_patches", ""), (f"_{without}", " without sinks"))
            for of in ("related", "other")
        }
        shown = [one for one in sweeps if one.edge in edges]
        has_any = any(one.edge in WITHOUT_SINKS for one in shown)
        panels = (
            Panel(title=task, series=mean_curves(of_task, "edge", edges, record.alpha))
            for task, of_task in by_task(shown, lambda one: one.task).items()
        )
        yield Figure(
            id=f"without-{name}",
            title=f"Related and other patches, with and without {words}",
            caption=f"Relative change of the answer's probability. Windows of {window} layers.",
            y_label="change in probability",
            panels=tuple(panels) if has_any else (),
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
