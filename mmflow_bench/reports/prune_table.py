"""From which layer on an image can go, and what that saves: two tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from mmflow_bench.measurements.removal import Removed
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.mechanisms.prune_plan import Outcome, PrunePlan, Spent, Step, in_words
from mmflow_bench.reports.columns import Column, head, printed, table
from mmflow_bench.reports.escaping import plain
from mmflow_bench.reports.signs import SIGNS

_STEPS = (
    Column("from layer", 10, is_number=True),
    Column("accuracy", 8, is_number=True),
    Column("lost", 6, is_number=True),
    Column("at most", 7, is_number=True),
    Column("operations", 10, is_number=True),
    Column("cache", 6, is_number=True),
    Column("shown to be safe"),
)
_OUTCOMES = (
    Column("", 8),
    Column("accuracy", 8, is_number=True),
    Column("time", 8, is_number=True),
    Column("operations", 10, is_number=True),
    Column("cache", 8, is_number=True),
)
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def render_prune_plan(found: PrunePlan, *, width: int = 80, colour: bool = False) -> str:
    return printed(_parts(found, width), width=width, colour=colour)


def _parts(found: PrunePlan, width: int) -> Iterator[RenderableType]:
    yield Text(_headline(found), style="bold", overflow="fold")
    for removed, title in ((Removed.IMAGE, "all of the image"), (Removed.UNRELATED, "unrelated")):
        steps = [one for one in found.steps if one.removed == removed]
        if steps:
            yield Text(f"{title} removed", style="bold cyan")
            yield head(_STEPS, width=width)
            yield table(_STEPS, map(_step, steps), width=width)
    yield Text()
    yield Text(plain(found.finding, 400), style="bold", overflow="fold")
    for note in found.notes:
        yield Text(plain(note, 400), style="dim", overflow="fold")
    for outcome in found.outcomes:
        yield Text()
        yield from _outcome(outcome, found, width)


def _headline(found: PrunePlan) -> str:
    return (
        f"{plain(found.checkpoint)}, {found.decoder_layers} layers: chosen on {found.images} "
        f"images; a loss under {_points(found.margin)}, alpha {found.alpha:g}"
    )


def _step(step: Step) -> list[str | Text]:
    reason = Text(plain(step.reason), style="dim")
    return [
        str(step.layer),
        _share(step.accuracy),
        _share(step.lost),
        _share(step.at_most),
        f"-{_share(step.operations_saved)}",
        f"-{_share(step.cache_saved)}",
        Text("yes", style="green") if step.is_safe else reason,
    ]


def _outcome(outcome: Outcome, found: PrunePlan, width: int) -> Iterator[RenderableType]:
    layers = {Removed(removed): layer for removed, layer in outcome.layers.items()}
    yield Text(f"tried on {outcome.images} other images: {in_words(layers)}", style="bold cyan")
    yield head(_OUTCOMES, width=width)
    before, after = outcome.before, outcome.after
    saved = ["saved", *(_saved(before, after, name) for name in ("seconds", "operations"))]
    saved.insert(1, "")
    saved.append(_saved(before, after, "cache_bytes"))
    rows = [_spent("before", before), _spent("after", after), saved]
    yield table(_OUTCOMES, rows, width=width)
    sign = SIGNS[outcome.verdict]
    bound = f", at most {_share(outcome.at_most)}" if outcome.at_most is not None else ""
    reason = f" ({plain(outcome.reason)})" if outcome.reason else ""
    asked = f"a loss under {_points(found.margin)} on these too: {outcome.verdict}{reason}"
    line = f"{sign.page} accuracy lost {_share(outcome.lost)}{bound}; {asked}"
    yield Text(line, style=sign.style, overflow="fold")
    if outcome.unscored:
        lost = ", ".join(f"{plain(reason)} {n}" for reason, n in outcome.unscored.items())
        yield Text(f"left out: {lost}", style="dim", overflow="fold")


def _spent(name: str, spent: Spent) -> list[str]:
    return [
        name,
        _share(spent.accuracy),
        f"{1000 * spent.seconds:.1f} ms",
        _scaled(spent.operations, ""),
        _scaled(spent.cache_bytes, "B"),
    ]


def _saved(before: Spent, after: Spent, name: str) -> str:
    whole, left = getattr(before, name), getattr(after, name)
    return _share(1 - left / whole) if whole else ""


def _share(value: float | None) -> str:
    return formatted(value, "fraction", is_aligned=True)


def _points(margin: float) -> str:
    return f"{100 * margin:g} points"


def _scaled(number: float, unit: str) -> str:
    """Three digits and a prefix.

    >>> _scaled(1.234e12, ""), _scaled(5300, "B")
    ('1.23 T', '5.3 kB')
    """
    factor, prefix = next(((f, p) for f, p in _PREFIXES if number >= f), (1.0, ""))
    return f"{number / factor:.3g} {prefix}{unit}".rstrip()
