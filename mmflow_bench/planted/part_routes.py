"""Routes of a design that tells the parts of a question apart, and what a knockout cuts of them.

Parts are the true option, the false one, the words for objects, and the rest. Attention of the last
position is shared between two options: where one of them cannot be read, the other counts twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmflow_bench.errors import KnockoutError
from mmflow_bench.inputs.samples import CHOOSE_TASKS, Task
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.part_gains import CONFIRMED, MARK_GAIN, shares_of
from mmflow_bench.planted.routes import Hop, Route

TRUE, FALSE, OBJECTS, REST = PARTS = ("true_option", "false_option", "objects", "rest")
_OF_ROLE: Mapping[str, frozenset[str]] = {
    "image": frozenset({"wallpaper", "object"}),
    "related_patches": frozenset({"object"}),
    "other_patches": frozenset({"wallpaper"}),
    "question": frozenset(PARTS),
    "question_without_options": frozenset({OBJECTS, REST}),
    "question_without_objects": frozenset({TRUE, FALSE, REST}),
    **{part: frozenset({part}) for part in (TRUE, FALSE, OBJECTS, "last")},
}


def part_routes(design: Design, task: str) -> tuple[Route, ...]:
    """All routes of a design with the stage `transfer_parts` for questions of one task."""
    return tuple(
        route
        for layer in design.transfer_layers
        for route in (*_by_mark(design, task, layer), *_by_options(design, task, layer))
    )


def cut_of(edge: str) -> frozenset[str]:
    """The edges of routes that a knockout cuts.

    Args:
        edge: From roles to roles, such as `true_option+false_option->last`.

    Raises:
        KnockoutError: It reaches words by whose parts the routes are not told apart.
    """
    sides = [[_OF_ROLE.get(role) for role in side.split("+")] for side in edge.split("->")]
    if None in sides[0] + sides[1]:
        raise KnockoutError(f"an edge between {', '.join(_OF_ROLE)}, got {edge!r}; measure others")
    sources, targets = (frozenset().union(*side) for side in sides)  # type: ignore[arg-type]
    if REST in targets and sources & set(PARTS):
        raise KnockoutError(
            f"an edge from the image, into an option or object, or into the last position, got "
            f"{edge!r}; measure others"
        )
    return frozenset(f"{source}->{target}" for source in sources for target in targets)


def _by_mark(design: Design, task: str, layer: int) -> Iterator[Route]:
    """What the question mark, which is of the rest, has gathered of context and of facts."""
    gains, found, asked = design.gains[task], design.lookup_layer, design.text_layer
    gathered, mixed = design.gather_layer, design.gather_layer + 1

    def route(gain: float, *hops: Hop) -> Route:
        return _route(design, gain, (*hops, (f"{REST}->last", layer)))

    shares = shares_of(task)
    for part, share in ((OBJECTS, shares.objects), (REST, shares.rest)):
        read = (f"wallpaper->{part}", design.context_layer)
        yield route(gains.context * share, read, (f"{part}->{REST}", mixed))
    told = (f"{REST}->{OBJECTS}", asked)
    looked = (f"object->{OBJECTS}", found)
    yield route(gains.lookup, told, looked, (f"{OBJECTS}->{REST}", gathered))
    itself = (f"{OBJECTS}->{REST}", asked), (f"object->{REST}", found)
    yield route(MARK_GAIN.get(task, 0.0), *itself)


def _by_options(design: Design, task: str, layer: int) -> Iterator[Route]:
    """What options say by themselves, what they have read, and what the true one has found."""
    if task not in CHOOSE_TASKS:
        return
    # "What is this" asks for the only object by the word that also tells the form of the question.
    teller = OBJECTS if task == Task.CHOOSE_CAT else REST
    shares = shares_of(task)
    read = {
        option: ((f"{teller}->{option}", design.text_layer), (f"{option}->last", layer))
        for option in (TRUE, FALSE)
    }
    for own, other in ((TRUE, FALSE), (FALSE, TRUE)):
        seen = (f"wallpaper->{own}", design.context_layer)
        contents: list[tuple[float, tuple[Hop, ...], bool]] = [
            (design.gains[task].context * shares.options, (seen,), True),
            (shares.word, (), own == TRUE),
        ]
        if own == TRUE and task in CONFIRMED:
            # A colour must know the object, and a category that it is asked about at all.
            asked = (f"{REST if teller == OBJECTS else OBJECTS}->{TRUE}", design.text_layer)
            found = (f"object->{TRUE}", design.lookup_layer)
            contents.append((2 * CONFIRMED[task], (asked, found), True))
        for gain, hops, is_right in contents:
            for instead in ((), read[other]):
                way = (*hops, *read[own])
                yield _route(design, gain / 2, way, is_right=is_right, instead=instead)


def _route(
    design: Design,
    gain: float,
    hops: tuple[Hop, ...],
    *,
    is_right: bool = True,
    instead: tuple[Hop, ...] = (),
) -> Route:
    """One layer's part of a route whose last hop ends in that layer."""
    return Route(
        gain=gain / len(design.transfer_layers),
        hops=hops,
        arrival=hops[-1][1],
        landing=design.landing,
        is_right=is_right,
        instead=instead,
    )
