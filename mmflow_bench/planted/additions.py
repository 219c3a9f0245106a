"""Stages that variants have beside those of the base."""

from __future__ import annotations

from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.gains import OPTION_GAIN
from mmflow_bench.planted.residual import dimension, dimensions, total
from mmflow_bench.planted.stages import form_of
from mmflow_bench.scenes.things import ANSWERS, COLORS

CODE_LAYER = 4
"""Attention and MLP write their codes here, once: a window that covers it removes either."""
_CODE_OF_WORD, _CODE_OF_ATTENTION, _CODE_OF_MLP = range(3)


def keep_lower(circuit: Circuit, design: Design) -> None:
    """The lower-case answer comes back in the last layer, weaker than the capitalised one."""
    for lower, upper in zip(dimensions("lower"), dimensions("upper"), strict=True):
        circuit.when(design.layers - 1, {upper: 1.0}, design.kept_below, {lower: 1.0})


def read_options(circuit: Circuit, design: Design) -> None:
    """The last position takes a colour or side that the question names for a likely answer."""
    _find_options(circuit, design, Task.CHOOSE_ATTR, Task.CHOOSE_REL)
    part = OPTION_GAIN / len(design.transfer_layers)
    pairs = zip(dimensions("option"), dimensions(design.landing), strict=True)
    copy = [(option, answer, part) for option, answer in pairs]
    for layer in design.transfer_layers:
        circuit.head(layer, match=[(total("last"), total("offered"))], copy=copy)


def doubt_answer(circuit: Circuit, design: Design) -> None:
    """For some layers the last position takes the option that is not the answer for it."""
    _find_options(circuit, design, Task.CHOOSE_ATTR)
    colors = [ANSWERS.index(color) for color in COLORS]
    size = design.doubt / design.gains[Task.CHOOSE_ATTR].lookup
    begin, end = design.doubt_layers
    for layer, sign in ((begin, 1.0), (end, -1.0)):
        # attention is shared between two options, and the decision speaks against one of them
        for key, fact, gain in (
            ("offered", "option", 2 * design.doubt),
            ("mark", "decision", -2 * size),
        ):
            copy = [
                (dimension(fact, color), dimension(design.landing, color), sign * gain)
                for color in colors
            ]
            circuit.head(layer, match=[(total("last"), total(key))], copy=copy)


def _find_options(circuit: Circuit, design: Design, *tasks: Task) -> None:
    """Words for options learn that they are some; a word like any other in other questions."""
    forms = [form_of(task) for task in tasks]
    # a question about the existence of red things names a colour that is no option
    circuit.head(
        design.text_layer,
        match=[(total("option"), dict.fromkeys(forms, 1.0))],
        copy=[(form, dimension("offered"), 1.0) for form in forms],
    )


def sink_into_image(circuit: Circuit, design: Design) -> None:
    """Question tokens rest their attention on the image and take nothing from it.

    Where they cannot, attention falls on the first token, which speaks for a wrong word: a drop
    without any information that flows.
    """
    at_question, at_last = dimensions("distractor")
    circuit.head(
        design.context_layer,
        match=[(total("question"), total("background", "object_patch"))],
        copy=[(dimension("begin"), at_question, design.distractor)],
    )
    part = 1 / len(design.transfer_layers)
    for layer in design.transfer_layers:
        seen = [(total("last"), total("question"))]
        circuit.head(layer, match=seen, copy=[(at_question, at_last, part)])


def look_idly(circuit: Circuit, design: Design) -> None:
    """Words of the question attend to the wallpaper late and make nothing of it."""
    for layer in design.idle_layers:
        copy = [(dim, dim, 1.0) for dim in dimensions("gist")]
        circuit.head(layer, match=[(total("question"), total("background"))], copy=copy)


def write_codebook(circuit: Circuit, design: Design) -> None:
    """Attention and MLP each leave a code at every word, next to the code of the word itself."""
    del design
    code = dimensions("code")
    # no key matches, so that all attention rests on the first token
    copy = [(dimension("begin"), code[_CODE_OF_ATTENTION], 1.0)]
    circuit.head(CODE_LAYER, match=[], copy=copy)
    circuit.when(CODE_LAYER, {code[_CODE_OF_WORD]: 1.0}, 0.0, {code[_CODE_OF_MLP]: 1.0})
