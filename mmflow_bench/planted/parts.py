"""Stages of a checkpoint whose questions are read part by part: options, objects, and the rest.

As the paper describes it (arXiv:2411.18620, App. J): words learn what they are asked about from the
words before them, the true option finds its object in the image, and the last position reads the
options. Words for objects are read by the question mark alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmflow_bench.inputs.samples import CHOOSE_TASKS, Task
from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.part_gains import CONFIRMED, MARK_GAIN, SHARES
from mmflow_bench.planted.residual import Form, dimension, dimensions, total
from mmflow_bench.planted.stages import FACTS, form_of
from mmflow_bench.scenes.things import ANSWERS, ANSWERS_OF_TASK

_OBJECTS: Form = {dimension("object_word"): 1.0, dimension("offered"): -1.0}
"""Words for objects that are no options."""
_REST: Form = {
    dimension("question"): 1.0,
    dimension("object_word"): -1.0,
    dimension("offered"): -1.0,
}
"""Words of the question that are neither."""


def tell_words(circuit: Circuit, design: Design) -> None:
    """Words learn from those before them that they are asked about, and of which object."""
    layer = design.text_layer
    told = [(dimension("opening"), dimension("told"), 1.0)]
    circuit.head(layer, match=[(total("object_word"), total("opening"))], copy=told)
    for task in map(Task, CHOOSE_TASKS):
        offered = [(form_of(task), dimension("offered"), 1.0)]
        circuit.head(layer, match=[(_options_of(task), {form_of(task): 1.0})], copy=offered)
    wants = {**total("mark"), **_options_of(Task.CHOOSE_ATTR)}
    copy = [(dim, dim, 1.0) for dim in dimensions("wanted_category")]
    circuit.head(layer, match=[(wants, total("object_word"))], copy=copy)


def look_up_when_told(circuit: Circuit, design: Design) -> None:
    """Words that are told to, and colours on offer, read the patches of the object wanted."""
    # options that are objects have been told already
    colors = {dimension("offered"): 1.0, dimension("told"): -1.0}
    for words, facts in ((total("told"), FACTS), (colors, ("color",))):
        copy = [(dim, dim, 1.0) for fact in facts for dim in dimensions(f"first_{fact}")]
        circuit.head(
            design.lookup_layer,
            match=[*_same_category(), (words, total("object_patch"))],
            copy=copy,
            needed=2.0,
        )


def look_up_by_mark(circuit: Circuit, design: Design) -> None:
    """The question mark reads the patches of the object wanted, and answers from them itself.

    Where it is asked what the only object is, none is wanted more than another.
    """
    facts = {Task.CHOOSE_CAT: "first_category", Task.QUERY_ATTR: "first_side"}
    for task, gain in MARK_GAIN.items():
        answers = [dimension("decision", ANSWERS.index(word)) for word in ANSWERS_OF_TASK[task]]
        found = zip(dimensions(facts[Task(task)]), answers, strict=True)
        wanted = [] if task == Task.CHOOSE_CAT else _same_category()
        circuit.head(
            design.lookup_layer,
            match=[*wanted, ({form_of(Task(task)): 1.0}, total("object_patch"))],
            copy=[(fact, answer, gain) for fact, answer in found],
            needed=2.0 if wanted else 1.0,
        )


def confirm_option(circuit: Circuit, design: Design) -> None:
    """An option that has found in the image what it says decides for itself."""
    facts = {Task.CHOOSE_ATTR: "first_color", Task.CHOOSE_CAT: "first_category"}
    for task, gain in CONFIRMED.items():
        found = zip(ANSWERS_OF_TASK[task], dimensions(facts[Task(task)]), strict=True)
        for word, fact in found:
            place = ANSWERS.index(word)
            said = {dimension("option", place): 1.0, fact: 1.0, dimension("offered"): 1.0}
            amount = {dimension("decision", place): 2 * gain}
            circuit.when(design.lookup_layer, said, 2.0, amount)


def mix_context(circuit: Circuit, design: Design) -> None:
    """The question mark reads the context of objects and that of the rest."""
    for key, part in ((_OBJECTS, "objects"), (_REST, "rest")):
        copy = [
            (source, target, getattr(SHARES[answer], part))
            for answer, source, target in _by_answer("context", "mixed")
        ]
        circuit.head(design.gather_layer + 1, match=[(total("mark"), key)], copy=copy)


def transfer_parts(circuit: Circuit, design: Design) -> None:
    """The last position reads the question mark and the options, between which it is shared."""
    part, landing = 1 / len(design.transfer_layers), design.landing
    of_mark = [
        (source, target, part)
        for fact in ("mixed", "decision")
        for _, source, target in _by_answer(fact, landing)
    ]
    context = [
        (source, target, part * SHARES[answer].options)
        for answer, source, target in _by_answer("context", landing)
    ]
    words = [
        (source, target, part * SHARES[answer].word)
        for answer, source, target in _by_answer("option", landing)
    ]
    found = [(source, target, part) for _, source, target in _by_answer("decision", landing)]
    for layer in design.transfer_layers:
        for key, copy in (("mark", of_mark), ("offered", context), ("offered", words + found)):
            circuit.head(layer, match=[(total("last"), total(key))], copy=copy)


def _by_answer(source: str, target: str) -> Iterator[tuple[str, int, int]]:
    """Every answer with its dimensions in two facts."""
    return zip(ANSWERS, dimensions(source), dimensions(target), strict=True)


def _options_of(task: Task) -> Form:
    """Words that are options in questions of a task."""
    return {dimension("option", ANSWERS.index(word)): 1.0 for word in ANSWERS_OF_TASK[task]}


def _same_category() -> list[tuple[Form, Form]]:
    pairs = zip(dimensions("wanted_category"), dimensions("first_category"), strict=True)
    return [({word: 1.0}, {patch: 1.0}) for word, patch in pairs]
