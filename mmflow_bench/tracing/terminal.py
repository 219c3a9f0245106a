"""A trace on a terminal: the answer, a line for each edge and word, and the photo's parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from mmflow_bench.mechanisms.numbers import formatted, sparkline
from mmflow_bench.reports.columns import Column, head, printed, table
from mmflow_bench.reports.escaping import plain
from mmflow_bench.reports.html.paper_figures import shown_edge
from mmflow_bench.tracing.record import CAUTION, Block, Trace
from mmflow_bench.tracing.words import (
    answered,
    appears,
    lacks,
    most_lost,
    of_blocks,
    strongest,
)

_CURVE = 30
"""Signs of a curve."""
_EDGES = (Column("edge cut", 24), Column("by layer", _CURVE), Column("strongest"))
_WORDS = (Column("logit lens", 24), Column("by depth", _CURVE), Column("reads it"))
_CELL = 6


def render_trace(trace: Trace, *, width: int = 80, colour: bool = False) -> str:
    """The trace as lines of at most `width` signs."""
    return printed(_parts(trace, width), width=width, colour=colour)


def _parts(trace: Trace, width: int) -> Iterator[RenderableType]:
    yield Text(f"{plain(trace.checkpoint)}, {trace.layers} layers", style="dim", overflow="fold")
    yield Text(plain(trace.question, 2000), overflow="fold")
    yield Text(plain(answered(trace), 2000), style="bold", overflow="fold")
    yield Text()
    yield head(_EDGES, width=width)
    edges = [
        [shown_edge(one.edge), sparkline(one.relative_change, _CURVE), strongest(one)]
        for one in trace.edges
    ]
    yield table(_EDGES, edges, width=width)
    for line in lacks(trace):
        yield Text(f"  {line}", style="dim", overflow="fold")
    yield Text(f"  windows of {trace.window} layers", style="dim")
    yield Text()
    yield head(_WORDS, width=width)
    words = [[plain(w.word), sparkline(w.probability, _CURVE), appears(w)] for w in trace.lens]
    yield table(_WORDS, words, width=width)
    yield Text()
    yield Text(of_blocks(trace), overflow="fold")
    yield from _map(trace.blocks)
    yield Text()
    yield Text(CAUTION, style="yellow", overflow="fold")


def _map(blocks: Sequence[Block]) -> Iterator[Text]:
    """The parts of the photo where they are, each with its change."""
    lefts = sorted({block.left for block in blocks})
    most = max(most_lost(blocks), 0.0)
    for top in sorted({block.top for block in blocks}):
        known = {block.left: block for block in blocks if block.top == top}
        line = Text("  ")
        for left in lefts:
            line.append(*_cell(known.get(left), most))
        yield line


def _cell(block: Block | None, most: float) -> tuple[str, str]:
    if block is None:
        # Cropped away before the checkpoint saw the photo.
        return "·".rjust(_CELL), "dim"
    said = formatted(round(block.relative_change, 2) + 0.0, "fraction").rjust(_CELL)
    share = -block.relative_change / most if most > 0 else 0.0
    return said, "bold red" if share > 0.66 else "red" if share > 0.33 else "default"
