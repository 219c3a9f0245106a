"""Stages for questions about heads and about image states: who reads, and what there is to read."""

from __future__ import annotations

from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.residual import dimension, dimensions, total
from mmflow_bench.planted.stages import from_gist, look_up, read_context
from mmflow_bench.scenes.things import SIDES

SHARING_HEADS = 4
"""Heads of one layer that read the context, an equal part each."""


def share_context(circuit: Circuit, design: Design) -> None:
    """Several heads read the wallpaper, where in the base a single one does."""
    for _ in range(SHARING_HEADS):
        read_context(circuit, design, part=1 / SHARING_HEADS)


def read_context_by_row_ends(circuit: Circuit, design: Design) -> None:
    """The ends of rows of tiles read the wallpaper, and question tokens read them."""
    row_end = total("row_end")
    read_context(circuit, design, query=row_end)
    copy = [(dim, dim, 1.0) for dim in dimensions("context")]
    circuit.head(design.context_layer + 1, match=[(total("question"), row_end)], copy=copy)


def ripen_image(circuit: Circuit, design: Design) -> None:
    """Patches of wallpaper come to say their gist more loudly, when all have read it already."""
    for gist in dimensions("gist"):
        circuit.spread(
            design.ripe_layer,
            flag=dimension("background"),
            source=gist,
            amounts={gist: design.ripe_gain - 1},
        )


def mix_image(circuit: Circuit, design: Design) -> None:
    """Patches read other patches: wallpaper on the right what the wallpaper on the left suggests.

    And patches that show an object see some wallpaper, without which no word finds them.
    """
    right, left = ({dimension("first_side", SIDES.index(side)): 1.0} for side in ("right", "left"))
    wallpaper = total("background")
    circuit.head(
        design.mix_layer,
        match=[(right, left), (wallpaper, wallpaper)],
        copy=from_gist(design),
        needed=2.0,
    )
    confirmed = [(dimension("background"), dimension("confirmed"), 1.0)]
    circuit.head(design.mix_layer, match=[(total("object_patch"), wallpaper)], copy=confirmed)


def read_mixed_context(circuit: Circuit, design: Design) -> None:
    """Question tokens read what the wallpaper on the right has read."""
    right = {**total("background"), dimension("first_side", SIDES.index("right")): 1.0}
    copy = [(dim, dim, 1.0) for dim in dimensions("context")]
    circuit.head(design.context_layer, match=[(total("question"), right)], copy=copy, needed=2.0)


def look_up_confirmed(circuit: Circuit, design: Design) -> None:
    """Object words read the patches of their object that have seen some wallpaper."""
    look_up(circuit, design.lookup_layer, more=[(total("object_word"), total("confirmed"))])
