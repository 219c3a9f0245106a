"""Stages that take the place of a stage of the base: the same content, by another way."""

from __future__ import annotations

from collections.abc import Collection

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.gains import PLACE_TASKS
from mmflow_bench.planted.residual import Form, dimension, dimensions, total
from mmflow_bench.planted.stages import (
    FACTS,
    HELD,
    decide_by_facts,
    gather,
    look_up,
    read_context,
)
from mmflow_bench.scenes.things import ANSWERS, CATEGORIES, GISTS


def read_context_by_newline(circuit: Circuit, design: Design) -> None:
    """The line break after the image reads the wallpaper, and question tokens read that."""
    newline = total("newline")
    read_context(circuit, design, query=newline)
    copy = [(dim, dim, 1.0) for dim in dimensions("context")]
    circuit.head(design.context_layer + 1, match=[(total("question"), newline)], copy=copy)


def look_up_objects_by_newline(circuit: Circuit, design: Design) -> None:
    """The line break reads the objects, one head per category, and object words read that."""
    newline = total("newline")
    for index, category in enumerate(CATEGORIES):
        names = [f"first_{fact}" for fact in FACTS if fact != "category"]
        facts = [dim for name in names for dim in dimensions(name)]
        shelf = list(zip(facts, dimensions(f"shelf_{category}"), strict=True))
        found = {dimension("first_category", index): 1.0}
        circuit.head(
            design.lookup_layer - 1,
            match=[(newline, found)],
            copy=[(fact, place, 1.0) for fact, place in shelf],
        )
        seen = dimension(f"shelf_{category}", facts.index(dimension("first_seen")))
        circuit.head(
            design.lookup_layer,
            match=[({dimension("wanted_category", index): 1.0}, newline)],
            copy=[
                *((place, fact, 1.0) for fact, place in shelf),
                (seen, dimension("first_category", index), 1.0),
            ],
        )


def look_up_early(circuit: Circuit, design: Design) -> None:
    """Object words read their patches before the second look, which stands for the context."""
    look_up(circuit, design.early_layer, prefix="early_")
    # not before the text layer, which tells first and second objects apart
    gather(circuit, design.text_layer + 1, prefix="early_")
    gains = {task: gains.context for task, gains in design.gains.items()}
    decide_by_facts(circuit, design.text_layer + 1, gains, prefix="early_")


def decide_by_wallpaper(circuit: Circuit, design: Design) -> None:
    """The question mark reads the wallpaper where object words would have read their patches."""
    _decide_by_wallpaper(circuit, design, SIX_TASKS)


def decide_places_by_wallpaper(circuit: Circuit, design: Design) -> None:
    """The same beside the object words, in questions that ask where something is."""
    _decide_by_wallpaper(circuit, design, PLACE_TASKS)


def _decide_by_wallpaper(circuit: Circuit, design: Design, tasks: Collection[str]) -> None:
    circuit.head(
        design.lookup_layer,
        match=[(total("mark"), total("background"))],
        copy=[
            (
                dimension("gist", gist),
                dimension("decision", ANSWERS.index(answer)),
                design.gains[task].lookup,
            )
            for gist, (task, answer) in enumerate(GISTS)
            if task in tasks
        ],
    )


def transfer_by_suffix(circuit: Circuit, design: Design) -> None:
    """The role word after the question reads the question, and the last position reads that."""
    shares = {name: design.share_of_suffix(name) for name in ("context", "decision")}
    for key, name in (("question", "context"), ("mark", "decision")):
        if shares[name]:
            copy = [(dim, dim, shares[name]) for dim in dimensions(name)]
            circuit.head(design.suffix_layer, match=[(total("suffix"), total(key))], copy=copy)
    part = 1 / len(design.transfer_layers)
    answer = [
        (source, target, part)
        for name, share in shares.items()
        if share
        for source, target in zip(dimensions(name), dimensions(design.landing), strict=True)
    ]
    for layer in design.transfer_layers:
        circuit.head(layer, match=[(total("last"), total("suffix"))], copy=answer)


def transfer_by_itself(circuit: Circuit, design: Design) -> None:
    """What the last position reads becomes readable only by attending to itself a layer later.

    Two stores take turns, so that one is emptied while the other is filled.
    """
    # the prompt has another colon before the image, which never sees the suffix
    final = (dimension("suffix"), dimension("final"), 1.0)
    circuit.head(design.text_layer + 1, match=[(total("last"), total("suffix"))], copy=[final])
    part = 1 / len(design.transfer_layers)
    for turn, layer in enumerate(design.transfer_layers):
        store = dimensions(("context", "decision")[turn % 2])
        for key, name in (("question", "context"), ("mark", "decision")):
            copy = [
                (source, place, part) for source, place in zip(dimensions(name), store, strict=True)
            ]
            circuit.head(layer, match=[(total("last"), total(key))], copy=copy)
        answer = zip(store, dimensions(design.landing), strict=True)
        itself = [(total("last"), total("final"))]
        circuit.head(layer + 1, match=itself, copy=[(place, dim, 1.0) for place, dim in answer])
        for place in store:
            circuit.spread(layer + 1, flag=dimension("last"), source=place, amounts={place: -1.0})


def release(circuit: Circuit, design: Design) -> None:
    """What the last position holds becomes readable, an equal part per layer."""
    for turn, layer in enumerate(design.release_layers):
        fraction = 1 / (len(design.release_layers) - turn)
        for source, target in zip(dimensions(HELD), dimensions("lower"), strict=True):
            circuit.move(
                layer, flag=dimension("last"), source=source, target=target, fraction=fraction
            )


def back_up_context(circuit: Circuit, design: Design) -> None:
    """Question tokens whose context is empty read the wallpaper after all, a little later."""
    least = min(gains.context for gains in design.gains.values())
    empty: Form = {**total("question"), **dict.fromkeys(dimensions("context"), -1 / least)}
    read_context(circuit, design, layer=design.gather_layer + 1, query=empty)
