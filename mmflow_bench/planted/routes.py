"""Every route by which content reaches the last position of a planted checkpoint, from its design.

A route is a share of the answer's logit and the edges that it takes, each at one layer. A knockout
removes the routes that take a cut edge in a cut layer. No weight is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.gains import OPTION_GAIN, PLACE_TASKS

Hop = tuple[str, int]
"""An edge, such as `wallpaper->question`, and the layer at which it is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A share of a logit and how it comes to the last position."""

    gain: float
    hops: tuple[Hop, ...]
    """Edges in order; only those that some knockout can cut."""
    arrival: int
    """Layer at which the last position reads it."""
    landing: str = "lower"
    """What it is there: `lower`, `upper`, or `held` and not yet readable."""
    is_right: bool = True
    """Whether it speaks for the right answer or for the question's other option."""
    instead: tuple[Hop, ...] = ()
    """The hops whose loss brings this route into being, for a backup."""

    def is_open(self, cut: frozenset[str], window: range) -> bool:
        """Whether content takes this route while some edges are cut in a window of layers."""

        def has_cut(hops: Iterable[Hop]) -> bool:
            return any(edge in cut and layer in window for edge, layer in hops)

        return not has_cut(self.hops) and (not self.instead or has_cut(self.instead))


def routes(design: Design, task: str) -> tuple[Route, ...]:
    """All routes of a design for questions of one task."""
    return (
        *_by_question(design, task),
        *_direct(design, task),
        *_told(design, task),
        *_by_options(design, task),
        *_by_doubt(design, task),
    )


def _by_question(design: Design, task: str) -> Iterator[Route]:
    gains, stages = design.gains[task], design.stages
    read: Hop = ("wallpaper->question", design.context_layer)
    found: Hop = ("object->question", design.lookup_layer)
    if "read_context" in stages:
        yield from _onward(design, "context", gains.context, (read,))
    if "relate_caption" in stages:
        told: Hop = ("caption->question", design.context_layer)
        yield from _onward(design, "context", gains.context, (told,))
    if "read_context_by_sink" in stages:
        of = "tower_sink" if design.tower_sink == "context" else "decoder_sink"
        of = "padding" if design.is_padded else of
        gathered: Hop = (f"{of}->question", design.context_layer)
        yield from _onward(design, "context", gains.context, (gathered,))
    if "share_context" in stages:
        yield from _onward(design, "context", gains.context, (read,))
    if "read_mixed_context" in stages:
        mixed: Hop = ("wallpaper->wallpaper", design.mix_layer)
        yield from _onward(design, "context", gains.context, (mixed, read))
    if "look_up_confirmed" in stages:
        seen: Hop = ("wallpaper->object", design.mix_layer)
        yield from _onward(design, "decision", gains.lookup, (seen, found))
    if "read_context_by_row_ends" in stages:
        by_rows = (
            ("wallpaper->row_end", design.context_layer),
            ("row_end->question", design.context_layer + 1),
        )
        yield from _onward(design, "context", gains.context, by_rows)
    if "read_context_by_newline" in stages:
        broken = _by_newline("wallpaper", design.context_layer)
        yield from _onward(design, "context", gains.context, broken)
    if "look_up_early" in stages:
        early: Hop = ("object->question", design.early_layer)
        yield from _onward(design, "decision", gains.context, (early,))
    if "look_up_objects" in stages:
        yield from _onward(design, "decision", gains.lookup, (found,))
    if "look_up_objects_by_newline" in stages:
        broken = _by_newline("object", design.lookup_layer - 1)
        yield from _onward(design, "decision", gains.lookup, broken)
    if "decide_by_wallpaper" in stages:
        again: Hop = ("wallpaper->question", design.lookup_layer)
        yield from _onward(design, "decision", gains.lookup, (again,))
    if "decide_places_by_wallpaper" in stages and task in PLACE_TASKS:
        around: Hop = ("wallpaper->question", design.lookup_layer)
        yield from _onward(design, "decision", gains.lookup, (around,))
    if "back_up_context" in stages:
        late: Hop = ("wallpaper->question", design.gather_layer + 1)
        yield from _onward(design, "context", gains.context, (late,), instead=(read,))


def _by_newline(source: str, layer: int) -> tuple[Hop, ...]:
    """The line break after the image reads something, and the question reads the line break."""
    return (f"{source}->newline", layer), ("newline->question", layer + 1)


def _onward(
    design: Design,
    evidence: Literal["context", "decision"],
    gain: float,
    hops: tuple[Hop, ...],
    instead: tuple[Hop, ...] = (),
) -> Iterator[Route]:
    """From the question to the last position, by each way that the design has."""

    def route(
        share: float, layers: range, landing: str, *more: str, by: tuple[Hop, ...] = ()
    ) -> Iterator[Route]:
        for layer in layers:
            last = tuple((edge, layer + later) for later, edge in enumerate(more))
            yield Route(
                gain=gain * share / len(layers),
                hops=(*hops, *by, *last),
                arrival=last[-1][1],
                landing=landing,
                instead=instead,
            )

    by_suffix = design.share_of_suffix(evidence)
    own = design.layers_of(evidence)
    if "transfer_to_last" in design.stages:
        share = 1 - by_suffix
        yield from route(share * (1 - design.held), own, design.landing, "question->last")
        yield from route(share * design.held, own, "held", "question->last")
    if "transfer_by_suffix" in design.stages:
        asked: Hop = ("question->suffix", design.suffix_layer)
        layers = design.transfer_layers
        yield from route(by_suffix, layers, design.landing, "suffix->last", by=(asked,))
    if "transfer_by_itself" in design.stages:
        yield from route(1.0, own, design.landing, "question->last", "last->last")


def _direct(design: Design, task: str) -> Iterator[Route]:
    for layer in design.direct_layers:
        yield Route(
            gain=design.gains[task].direct / len(design.direct_layers),
            hops=(("wallpaper->last", layer),),
            arrival=layer,
            landing=design.landing,
        )


def _told(design: Design, task: str) -> Iterator[Route]:
    for layer in design.caption_layers:
        yield Route(
            gain=design.gains[task].told / len(design.caption_layers),
            hops=(("caption->last", layer),),
            arrival=layer,
            landing=design.landing,
        )


def _by_options(design: Design, task: str) -> Iterator[Route]:
    """The words for options in the question; attention is shared between them."""
    if "read_options" not in design.stages:
        return
    for is_right in (True, False) if task in (Task.CHOOSE_ATTR, Task.CHOOSE_REL) else ():
        for layer in design.transfer_layers:
            yield Route(
                gain=OPTION_GAIN / 2 / len(design.transfer_layers),
                hops=(("question->last", layer),),
                arrival=layer,
                landing=design.landing,
                is_right=is_right,
            )


def _by_doubt(design: Design, task: str) -> Iterator[Route]:
    """The options, less the decision twice: for the other option until the doubt ends."""
    if "doubt_answer" not in design.stages or task != Task.CHOOSE_ATTR:
        return
    found: Hop = ("object->question", design.lookup_layer)
    for layer, sign in zip(design.doubt_layers, (1, -1), strict=True):
        read: Hop = ("question->last", layer)
        for share, hops, is_right in (
            (1, (read,), True),
            (1, (read,), False),
            (-2, (found, read), True),
        ):
            yield Route(
                gain=sign * share * design.doubt,
                hops=hops,
                arrival=layer,
                landing=design.landing,
                is_right=is_right,
            )
