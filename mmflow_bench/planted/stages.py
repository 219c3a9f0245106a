"""The stages of the planted flow, each a short list of instructions to the circuit.

Order of the flow (arXiv:2411.18620, Sec. 5 to 7): the question reads the rest of the image, then
object words read their objects, then the last position reads the question, and the answer appears
in lower case before it is capitalised. A stage is a function of its own, so that a variant of a
checkpoint leaves one out, moves it or adds another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.residual import Form, dimension, dimensions, total
from mmflow_bench.scenes.things import (
    ANSWERS,
    CATEGORIES,
    COLORS,
    GISTS,
    MATERIALS,
    SIDES,
)

Stage = Callable[[Circuit, Design], None]

USUAL_WALLPAPER = 28
"""Patches of wallpaper in a scene of two objects."""
HELD = "context"
"""At the last position, which has no context of its own: an answer that is not yet readable."""

FACTS = ("seen", "category", "color", "material", "side")


def read_context(
    circuit: Circuit,
    design: Design,
    *,
    layer: int | None = None,
    query: Form | None = None,
    key: Form | None = None,
    part: float = 1.0,
) -> None:
    """Question tokens read from the wallpaper which answer it suggests.

    Args:
        circuit: The decoder under construction.
        design: Its layers and gains.
        layer: Instead of the design's own.
        query: The tokens that read, instead of the question.
        key: The patches that are read, instead of all wallpaper.
        part: Of the gains.
    """
    # a rival draws attention from every patch: the gain makes up for it where all are seen
    scale = part * (1 + design.context_rivals / USUAL_WALLPAPER)
    circuit.head(
        design.context_layer if layer is None else layer,
        match=[(query or total("question"), key or total("background"))],
        copy=from_gist(design, scale),
        rivals=design.context_rivals,
    )


def from_gist(design: Design, scale: float = 1.0) -> list[tuple[int, int, float]]:
    """Which answer each wallpaper suggests, and how strongly."""
    return [
        (
            dimension("gist", gist),
            dimension("context", ANSWERS.index(answer)),
            scale * design.gains[task].context,
        )
        for gist, (task, answer) in enumerate(GISTS)
    ]


def read_question(circuit: Circuit, design: Design) -> None:
    """Within the question: form and colour words reach the mark, second objects know it."""
    layer = design.text_layer
    for name in ("form", "wanted_color"):
        copy = [(dim, dim, 1.0) for dim in dimensions(name)]
        circuit.head(layer, match=[(total("mark"), total(name))], copy=copy)
    circuit.head(
        layer,
        match=[(total("object_word"), total("separator"))],
        copy=[(dimension("separator"), dimension("second_word"), 1.0)],
    )


def look_up_objects(circuit: Circuit, design: Design) -> None:
    """Object words read all facts from the patches of their object, found by its category."""
    look_up(circuit, design.lookup_layer)


def look_up(
    circuit: Circuit, layer: int, prefix: str = "", more: Sequence[tuple[Form, Form]] = ()
) -> None:
    """Object words read their patches into the facts whose names start with the prefix.

    `more` is what word and patch must have beside it.
    """
    pairs = zip(dimensions("wanted_category"), dimensions("first_category"), strict=True)
    same_category: list[tuple[Form, Form]] = [({word: 1.0}, {patch: 1.0}) for word, patch in pairs]
    circuit.head(
        layer,
        # words know categories too once they have looked: only patches may be found
        match=[*same_category, (total("object_word"), total("object_patch")), *more],
        copy=[
            (source, target, 1.0)
            for fact in FACTS
            for source, target in zip(
                dimensions(f"first_{fact}"), dimensions(f"{prefix}first_{fact}"), strict=True
            )
        ],
        needed=2.0 + len(more),
    )


def gather_objects(circuit: Circuit, design: Design) -> None:
    """The question mark reads the first and the second object word."""
    gather(circuit, design.gather_layer)


def gather(circuit: Circuit, layer: int, prefix: str = "") -> None:
    """The question mark reads the facts of object words whose names start with the prefix."""
    is_first = {dimension("object_word"): 1.0, dimension("second_word"): -1.0}
    circuit.head(
        layer,
        match=[(total("mark"), is_first)],
        copy=[(dim, dim, 1.0) for fact in FACTS for dim in dimensions(f"{prefix}first_{fact}")],
    )
    pairs = [
        pair
        for fact in FACTS
        if fact != "category"
        for pair in zip(
            dimensions(f"{prefix}first_{fact}"), dimensions(f"{prefix}second_{fact}"), strict=True
        )
    ]
    circuit.head(
        layer,
        match=[(total("mark"), total("second_word"))],
        copy=[(source, target, 1.0) for source, target in pairs],
    )


def decide(circuit: Circuit, design: Design) -> None:
    """The question mark answers from the facts it gathered."""
    gains = {task: gains.lookup for task, gains in design.gains.items()}
    decide_by_facts(circuit, design.gather_layer, gains)


def decide_by_facts(
    circuit: Circuit, layer: int, gains: Mapping[str, float], prefix: str = ""
) -> None:
    """One rule per question form, on the facts whose names start with the prefix."""

    def rule(task: Task, answer: str, *facts: tuple[str, int]) -> None:
        condition = {dimension(prefix + name, index): 1.0 for name, index in facts}
        condition[form_of(task)] = 1.0
        amount = {dimension("decision", ANSWERS.index(answer)): gains[task]}
        circuit.when(layer, condition, float(len(facts)), amount)

    for index, color in enumerate(COLORS):
        rule(Task.CHOOSE_ATTR, color, ("first_color", index))
        rule(Task.COMPARE_ATTR, "color", ("first_color", index), ("second_color", index))
    for index, _ in enumerate(MATERIALS):
        rule(Task.COMPARE_ATTR, "material", ("first_material", index), ("second_material", index))
    for index, category in enumerate(CATEGORIES):
        rule(Task.CHOOSE_CAT, category, ("first_category", index))
    for index, side in enumerate(SIDES):
        rule(Task.QUERY_ATTR, side, ("first_side", index))
        rule(Task.CHOOSE_REL, side, ("first_side", index), ("second_side", 1 - index))
    _decide_existence(circuit, layer, gains[Task.LOGICAL_OBJ], prefix)


def _decide_existence(circuit: Circuit, layer: int, gain: float, prefix: str) -> None:
    """`yes` when either object has the wanted colour, `no` when some object is seen but neither.

    Without any object in sight there is no evidence for either word.
    """
    yes, no = (dimension("decision", ANSWERS.index(answer)) for answer in ("yes", "no"))
    cases: list[tuple[Form, float, dict[int, float]]] = [
        (total(f"{prefix}first_seen", f"{prefix}second_seen"), 0.0, {no: gain})
    ]
    for index, _ in enumerate(COLORS):
        seen = (f"{prefix}{which}_color" for which in ("first", "second"))
        has_color = {dimension(name, index): 1.0 for name in seen}
        wanted = {dimension("wanted_color", index): 4.0}
        cases.append((has_color | wanted, 4.0, {yes: gain, no: -gain}))
    for condition, minus, amounts in cases:
        gated = {**condition, form_of(Task.LOGICAL_OBJ): 4.0}
        # clamped at one, since both objects may fulfil it
        circuit.when(layer, gated, minus + 4, amounts)
        less = {target: -amount for target, amount in amounts.items()}
        circuit.when(layer, gated, minus + 5, less)


def transfer_to_last(circuit: Circuit, design: Design) -> None:
    """The last position reads both kinds of evidence from the question, layer by layer."""
    landing = ((design.landing, 1 - design.held), (HELD, design.held))
    for key, name in (("question", "context"), ("mark", "decision")):
        part = (1 - design.share_of_suffix(name)) / len(design.layers_of(name))
        copy = [
            (source, target, part * fraction)
            for place, fraction in landing
            if fraction
            for source, target in zip(dimensions(name), dimensions(place), strict=True)
        ]
        for layer in design.layers_of(name) if part else ():
            circuit.head(layer, match=[(total("last"), total(key))], copy=copy)


def read_directly(circuit: Circuit, design: Design) -> None:
    """The last position reads the wallpaper itself, for tasks that have a direct gain."""
    part = 1 / len(design.direct_layers)
    direct = [
        (dimension("gist", gist), dimension(design.landing, ANSWERS.index(answer)), part * gain)
        for gist, (task, answer) in enumerate(GISTS)
        if (gain := design.gains[task].direct)
    ]
    if direct:
        keys = {gist: 1.0 for gist, _, _ in direct}
        for layer in design.direct_layers:
            circuit.head(layer, match=[(total("last"), keys)], copy=direct)


def capitalise(circuit: Circuit, design: Design) -> None:
    """At the last position the lower-case answer turns into the capitalised one."""
    for layer, fraction in design.case_changes:
        for source, target in zip(dimensions("lower"), dimensions("upper"), strict=True):
            circuit.move(
                layer, flag=dimension("last"), source=source, target=target, fraction=fraction
            )


def form_of(task: Task) -> int:
    """The dimension that says that a question is of a task's form."""
    return dimension("form", list(Task).index(task))
