"""The stages of the planted flow, each a short list of instructions to the circuit.

Order of the flow (arXiv:2411.18620, Sec. 5 to 7): the question reads the rest of the image, then
object words read their objects, then the last position reads the question, and the answer appears
in lower case before it is capitalised. A stage is a function of its own, so that a variant of a
checkpoint leaves one out, moves it or adds another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

_FACTS = ("seen", "category", "color", "material", "side")


def read_context(circuit: Circuit, design: Design) -> None:
    """Question tokens read from the wallpaper which answer it suggests."""
    circuit.head(
        design.context_layer,
        match=[(total("question"), total("background"))],
        copy=[
            (
                dimension("gist", gist),
                dimension("context", ANSWERS.index(answer)),
                design.gains[task].context,
            )
            for gist, (task, answer) in enumerate(GISTS)
        ],
    )


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
    pairs = zip(dimensions("wanted_category"), dimensions("first_category"), strict=True)
    same_category: list[tuple[Form, Form]] = [({word: 1.0}, {patch: 1.0}) for word, patch in pairs]
    circuit.head(
        design.lookup_layer,
        # words know categories too once they have looked: only patches may be found
        match=[*same_category, (total("object_word"), total("object_patch"))],
        copy=[(dim, dim, 1.0) for fact in _FACTS for dim in dimensions(f"first_{fact}")],
        needed=2.0,
    )


def gather_objects(circuit: Circuit, design: Design) -> None:
    """The question mark reads the first and the second object word."""
    layer = design.gather_layer
    is_first = {dimension("object_word"): 1.0, dimension("second_word"): -1.0}
    circuit.head(
        layer,
        match=[(total("mark"), is_first)],
        copy=[(dim, dim, 1.0) for fact in _FACTS for dim in dimensions(f"first_{fact}")],
    )
    pairs = [
        pair
        for fact in _FACTS
        if fact != "category"
        for pair in zip(dimensions(f"first_{fact}"), dimensions(f"second_{fact}"), strict=True)
    ]
    circuit.head(
        layer,
        match=[(total("mark"), total("second_word"))],
        copy=[(source, target, 1.0) for source, target in pairs],
    )


def decide(circuit: Circuit, design: Design) -> None:
    """The question mark answers from the facts it gathered, one rule per question form."""

    def rule(task: Task, answer: str, *facts: tuple[str, int]) -> None:
        condition = {dimension(name, index): 1.0 for name, index in facts}
        condition[_form(task)] = 1.0
        amount = {dimension("decision", ANSWERS.index(answer)): design.gains[task].lookup}
        circuit.when(design.gather_layer, condition, float(len(facts)), amount)

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
    _decide_existence(circuit, design)


def _decide_existence(circuit: Circuit, design: Design) -> None:
    """`yes` when either object has the wanted colour, `no` when some object is seen but neither.

    Without any object in sight there is no evidence for either word.
    """
    gain = design.gains[Task.LOGICAL_OBJ].lookup
    yes, no = (dimension("decision", ANSWERS.index(answer)) for answer in ("yes", "no"))
    cases: list[tuple[Form, float, dict[int, float]]] = [
        (total("first_seen", "second_seen"), 0.0, {no: gain})
    ]
    for index, _ in enumerate(COLORS):
        has_color = {dimension(f"{which}_color", index): 1.0 for which in ("first", "second")}
        wanted = {dimension("wanted_color", index): 4.0}
        cases.append((has_color | wanted, 4.0, {yes: gain, no: -gain}))
    for condition, minus, amounts in cases:
        gated = {**condition, _form(Task.LOGICAL_OBJ): 4.0}
        # clamped at one, since both objects may fulfil it
        circuit.when(design.gather_layer, gated, minus + 4, amounts)
        less = {target: -amount for target, amount in amounts.items()}
        circuit.when(design.gather_layer, gated, minus + 5, less)


def transfer_to_last(circuit: Circuit, design: Design) -> None:
    """The last position reads both kinds of evidence from the question, layer by layer."""
    part = 1 / len(design.transfer_layers)
    for layer in design.transfer_layers:
        for key, name in (("question", "context"), ("mark", "decision")):
            pairs = zip(dimensions(name), dimensions("lower"), strict=True)
            circuit.head(
                layer,
                match=[(total("last"), total(key))],
                copy=[(source, target, part) for source, target in pairs],
            )


def read_directly(circuit: Circuit, design: Design) -> None:
    """The last position reads the wallpaper itself, for tasks that have a direct gain."""
    direct = [
        (dimension("gist", gist), dimension("lower", ANSWERS.index(answer)), gain)
        for gist, (task, answer) in enumerate(GISTS)
        if (gain := design.gains[task].direct)
    ]
    if direct:
        keys = {gist: 1.0 for gist, _, _ in direct}
        circuit.head(design.direct_layer, match=[(total("last"), keys)], copy=direct)


def capitalise(circuit: Circuit, design: Design) -> None:
    """At the last position the lower-case answer turns into the capitalised one."""
    for layer, fraction in design.case_changes:
        for source, target in zip(dimensions("lower"), dimensions("upper"), strict=True):
            circuit.move(
                layer, flag=dimension("last"), source=source, target=target, fraction=fraction
            )


STAGES: Sequence[Stage] = (
    read_context,
    read_question,
    look_up_objects,
    gather_objects,
    decide,
    transfer_to_last,
    read_directly,
    capitalise,
)


def _form(task: Task) -> int:
    return dimension("form", list(Task).index(task))
