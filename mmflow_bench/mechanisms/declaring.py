"""A mechanism as its test declares it: the marker `mechanism` and the docstring, nowhere else.

    @pytest.mark.mechanism("q-last-30", tier="replicates", only_for=("llava-1.5-13b",))
    @pytest.mark.parametrize("task", ["ChooseAttr"])
    def test_question_to_last_drops_by_30_percent(flow, task):
        \"\"\"Cutting the question off the last position costs up to about 30%.\"\"\"

A marker without an id, on a class or as `pytestmark` of a module, declares for all tests in it; of
two that say the same thing the closest counts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from mmflow_bench.errors import MechanismError
from mmflow_bench.interventions.knockout import Edge
from mmflow_bench.mechanisms.bands import EVERYWHERE, Band
from mmflow_bench.mechanisms.paper import FURTHER_MODELS, OWN, PAPER_MODELS
from mmflow_bench.mechanisms.verdicts import ASKED_AGAIN, Tier
from mmflow_bench.names import SUITES, Suite, one_of

if TYPE_CHECKING:
    from mmflow_bench.mechanisms.flow import Flow

Reading = Literal["accuracy", "peak", "centre", "lens max", "lens final"]
MARKER = "mechanism"
ALL = "all"
"""The task of a statement across tasks."""


class Mark(Protocol):
    """What is read of pytest's marks, which only the plugin may import."""

    @property
    def name(self) -> str: ...
    @property
    def args(self) -> tuple[object, ...]: ...
    @property
    def kwargs(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Gate:
    """A number that is compared on every task, as a marker declares it.

    >>> Gate("peak", "image -> question").edge
    'image->question'
    """

    reading: Reading
    of: str = ""
    """The edge, or the probe of the logit lens; nothing for an accuracy."""
    band: Band = EVERYWHERE

    def __post_init__(self) -> None:
        # Otherwise it would only be found out after everything has been measured.
        if self.reading not in get_args(Reading):
            known = ", ".join(get_args(Reading))
            raise MechanismError(f"a reading of the gate ({known}), got {self.reading!r}")
        if bool(self.of) == (self.reading == "accuracy"):
            raise MechanismError(
                "an edge or a probe for every reading but the accuracy, got "
                f"{self.of!r} for {self.reading!r}"
            )
        _ = self.edge

    @property
    def probe(self) -> str:
        """The probe of the logit lens; empty where an edge is read."""
        return self.of if self.reading.startswith("lens") else ""

    @property
    def edge(self) -> str:
        """The edge as stores spell it; empty where none is read."""
        return str(Edge.parse(self.of)) if self.of and not self.probe else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A claim of the paper, one's own, or a control, and whom it is about."""

    id: str
    statement: str = ""
    """The claim in one sentence: the docstring's first paragraph."""
    section: str = OWN
    """Where reports show it."""
    citation: str = ""
    """Where the paper makes it."""
    tier: Tier = "holds"
    """`holds` is mechanism-level, for any checkpoint; `replicates` is the paper's own number."""
    tasks: tuple[str, ...] = (ALL,)
    """Tasks that it is decided on one by one, or `("all",)` for a statement across tasks."""
    suite: Suite = "core"
    """The smallest selection of mechanisms that it is part of."""
    minimum_accuracy: float | None = None
    """Share of correct answers below which it is not looked at; None for the usual one."""
    only_for: tuple[str, ...] = ()
    """The paper's checkpoints that it is about; empty for any checkpoint."""
    not_for: tuple[str, ...] = ()
    """The paper's checkpoints that it does not apply to."""
    fails_for: tuple[str, ...] = ()
    """The paper's checkpoints that the paper sees it fail on."""
    unsaid_of: tuple[str, ...] = ()
    """The paper's checkpoints that it applies to, but that the paper does not say it of."""
    gate: Gate | None = None
    """The number that two checkpoints are compared by."""

    def is_about(self, paper_model: str | None) -> bool:
        """Whether it applies to a checkpoint, by the paper's name of it if it has one."""
        is_chosen = not self.only_for or paper_model in self.only_for
        return is_chosen and paper_model not in self.not_for

    def is_asked_again(self, *, twins: bool) -> bool:
        """Whether its verdict is asked again by other methods (docs/decisions/010)."""
        return twins and self.tier == ASKED_AGAIN

    def expected_of(self, paper_model: str) -> Literal["holds", "fails"] | None:
        """The verdict that the paper's words on a checkpoint mean; None where it has none.

        Of what only work since asks for, the paper has no word but what `fails_for` adds to it.
        """
        if not self.is_about(paper_model) or paper_model in self.unsaid_of:
            return None
        if paper_model in self.fails_for:
            return "fails"
        return None if self.suite == "all" else "holds"


Lookup = Callable[[str, Sequence[str]], Declaration]
"""Id and tasks of a test that has no statement -> the declaration that it repeats."""


def declaration(
    marks: Iterable[Mark],
    *,
    function: str,
    doc: str | None,
    tasks: tuple[str, ...],
    repeated: Lookup,
) -> Declaration:
    """What a test declares.

    A test that names an id and says nothing else repeats the mechanism of that id, so that a copy
    of a test need not copy its words.

    Args:
        marks: The closest first.
        function: The test's name, which is its id where no marker names one.
        doc: Its docstring.
        tasks: What it is parametrised with.
        repeated: Finds what a test without a docstring repeats.

    Raises:
        MechanismError: The marker says something that is not known.
    """
    given: dict[str, Any] = {}
    names: list[str] = []
    # The closest comes last, and so overwrites what those further away say.
    for mark in reversed([mark for mark in marks if mark.name == MARKER]):
        given |= {name: _checked(name, value) for name, value in mark.kwargs.items()}
        names += _id_of(mark)
    own = Declaration(id=names[-1] if names else function, statement=statement_of(doc), tasks=tasks)
    if names and not own.statement:
        own = replace(repeated(own.id, tasks), tasks=tasks)
    return replace(own, **given)


def statement_of(doc: str | None) -> str:
    r"""The first paragraph of a docstring in one line.

    >>> statement_of("It drops,\n    and so on.\n\n    More.")
    'It drops, and so on.'
    """
    return " ".join(inspect.cleandoc(doc or "").partition("\n\n")[0].split())


def require_applicable(declared: Declaration, flow: Flow) -> None:
    """Raise `NotApplicable` for a checkpoint that a mechanism is declared not to be about."""
    if declared.only_for:
        flow.only_for(*declared.only_for)
    flow.not_for(*declared.not_for)


def refuse_conflict(one: Declaration, other: Declaration) -> None:
    """Raise `MechanismError` where two tests of one id say different things of it."""
    for name in ("section", "citation", "tier", "suite"):
        said, also = getattr(one, name), getattr(other, name)
        if said != also:
            raise MechanismError(
                f"one {name} for all tests of {one.id}, got {said!r} and {also!r}; give one of "
                "them another id"
            )
    if one.gate and other.gate and one.gate != other.gate:
        raise MechanismError(f"one gate for all tests of {one.id}, got {one.gate} and {other.gate}")


def _id_of(mark: Mark) -> list[str]:
    """The id that a mark names, if it names one."""
    names = [name for name in mark.args if isinstance(name, str) and name]
    if len(names) != len(mark.args) or len(names) > 1:
        said = ", ".join(map(repr, mark.args))
        raise MechanismError(f'one id, as in mechanism("q-last-drop"), got mechanism({said})')
    return names


def _checked(name: str, value: object) -> object:
    """The value of a keyword as `Declaration` keeps it."""
    one_of(name, _KEYWORDS, "a keyword of the marker mechanism")
    if name == "tier":
        return one_of(value, get_args(Tier), "a tier")
    if name == "suite":
        return one_of(value, SUITES, "a suite")
    if name in _OF_CHECKPOINTS and isinstance(value, tuple | list):
        known = (*PAPER_MODELS, *FURTHER_MODELS)
        return tuple(one_of(each, known, "a checkpoint of the paper") for each in value)
    kind, words = _KINDS.get(name, (tuple, "a tuple of the paper's checkpoints"))
    is_share = name != "minimum_accuracy" or (isinstance(value, int | float) and 0 <= value <= 1)
    if not isinstance(value, kind) or not is_share:
        raise MechanismError(f"{words} for {name}, got {value!r}")
    return value


_OF_CHECKPOINTS = ("only_for", "not_for", "fails_for", "unsaid_of")
_KINDS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "section": (str, "a text"),
    "citation": (str, "a text"),
    "minimum_accuracy": ((int, float), "a share from 0 to 1 such as 0.9"),
    "gate": (Gate, 'such as Gate("peak", "image -> question")'),
}
_KEYWORDS = ("tier", "suite", *_KINDS, *_OF_CHECKPOINTS)
