"""What is cut, where and how: the plain records of the engine, and the names of edges."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum

from mmflow_bench.errors import KnockoutError
from mmflow_bench.positions.roles import Role


class Method(StrEnum):
    """What happens to an attention edge that is knocked out."""

    MASKED = "masked"
    """Never attended to: the score is minus infinity before the softmax, so the other keys share
    its weight (arXiv:2411.18620, Eq. 5 to 7; Geva et al. 2023, arXiv:2304.14767)."""
    UNNORMALISED = "unnormalised"
    """Attended to, but nothing arrives: the weight is zero after the softmax, the others keep
    theirs. A key that only absorbs attention then makes no difference."""
    COUNTERFACTUAL = "counterfactual"
    """Attended to, but the value is another sample's: weights stay, source values come from the
    clean pass of the counterfactual sample."""


SECOND_OPINIONS = (Method.COUNTERFACTUAL, Method.UNNORMALISED)
"""What a verdict by the masked method is checked against."""


PAPER_WIDTH = 9
"""Layers of a window of the paper's main results, in a decoder of 40."""
STUDIED_WIDTHS = (1, 3, 5, 7, 9, 11, 15)
"""Those of its App. B."""


class Module(StrEnum):
    """What a decoder layer adds to the residual stream."""

    ATTENTION = "attention"
    MLP = "mlp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knockout:
    """The edges from all `sources` to all `targets`, cut in some layers."""

    sources: tuple[int, ...]
    """Sequence positions that are read from (keys)."""
    targets: tuple[int, ...]
    """Sequence positions that read (queries)."""
    layers: range
    """Decoder layers, 0-based and contiguous."""
    heads: tuple[int, ...] | None = None
    """Attention heads of those layers, 0-based; None for every head."""
    spares_self: bool = False
    """Whether a position that is source and target still attends to itself."""

    @property
    def parts(self) -> tuple[Knockout]:
        return (self,)

    @property
    def changes(self) -> tuple[int, ...]:
        """Positions whose states it changes first."""
        return self.targets if self.layers and self.heads != () else ()

    def check(self, *, length: int, layers: int, heads: int) -> None:
        """Refuse positions outside a sequence, and layers and heads outside a decoder."""
        _check_positions("source", self.sources, length)
        _check_positions("target", self.targets, length)
        _check_layers(self.layers, layers)
        outside = [head for head in self.heads or () if not 0 <= head < heads]
        if outside:
            raise KnockoutError(f"attention heads in 0..{heads - 1}, got {outside[0]}")

    def check_donor(self, length: int) -> None:
        """Refuse a counterfactual sample that has no values for all sources.

        And edges that are not all from every source to every target.
        """
        if self.spares_self:
            raise KnockoutError(
                "every edge between sources and targets by the counterfactual method, got a "
                "knockout that spares some; use the method masked or unnormalised"
            )
        if max(self.sources, default=-1) >= length:
            raise KnockoutError(
                "a counterfactual sample that reaches as far as the sources, got "
                f"{length} positions for source {max(self.sources)}; use the same question with "
                "another image of the same size"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """A module adds nothing to the residual stream of some positions, in some layers.

    Its output is zero there (arXiv:2411.18620, App. D), so that the states go on as they came in;
    what the other positions read of them in the same layer is as ever.
    """

    module: Module
    positions: tuple[int, ...]
    layers: range
    """Decoder layers, 0-based and contiguous."""

    @property
    def parts(self) -> tuple[Skip]:
        return (self,)

    @property
    def changes(self) -> tuple[int, ...]:
        """Positions whose states it changes first."""
        return self.positions if self.layers else ()

    def check(self, *, length: int, layers: int, heads: int) -> None:  # noqa: ARG002
        """Refuse positions outside a sequence and layers outside a decoder."""
        _check_positions("skipped", self.positions, length)
        _check_layers(self.layers, layers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """Several knockouts and skips in one pass, each in its own layers."""

    parts: tuple[Knockout | Skip, ...]

    @property
    def changes(self) -> tuple[int, ...]:
        """Positions whose states some part changes first."""
        return tuple(sorted({position for part in self.parts for position in part.changes}))

    def check(self, *, length: int, layers: int, heads: int) -> None:
        """Refuse a part that does not fit a sequence or a decoder."""
        for part in self.parts:
            part.check(length=length, layers=layers, heads=heads)


Intervention = Knockout | Skip | Together


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """All attention edges from the positions of some roles to those of some others.

    Each side is the union of its roles: `image->question+suffix+last` is every edge from the image
    into the question, into the suffix and into the last position. A sample that lacks one of the
    roles lacks the edge (docs/decisions/038).
    """

    sources: tuple[Role, ...]
    targets: tuple[Role, ...]

    def __post_init__(self) -> None:
        # One edge has one name, however its roles are listed.
        order = list(Role)
        for side in ("sources", "targets"):
            roles = sorted(getattr(self, side), key=order.index)
            object.__setattr__(self, side, tuple(roles))

    @classmethod
    def parse(cls, text: str) -> Edge:
        """The edge that `text` names, roles of a union joined by `+`.

        >>> str(Edge.parse("image -> question"))
        'image->question'
        >>> str(Edge.parse("image -> last + question"))
        'image->question+last'

        Raises:
            KnockoutError: It is not one arrow between roles that there are, each named once.
        """
        sides = [side.strip() for side in text.split("->")]
        if len(sides) != 2:
            raise KnockoutError(
                f"an edge as `source->target`, got {text!r}; write for example `image->question`"
            )
        sources, targets = (_union(side, text) for side in sides)
        return cls(sources=sources, targets=targets)

    def __str__(self) -> str:
        return "->".join("+".join(roles) for roles in (self.sources, self.targets))


def layer_window(center: int, width: int, layers: int) -> range:
    """The layers of a window of `width` centred on `center`, cut at both ends of the decoder.

    As in the paper's program: at width 9 the window of layer 0 holds layers 0 to 4.

    >>> list(layer_window(0, 9, 40)), list(layer_window(10, 3, 40))
    ([0, 1, 2, 3, 4], [9, 10, 11])

    Raises:
        ValueError: `width` is even or not positive, or `center` is outside the decoder.
    """
    if width < 1 or width % 2 == 0:
        raise ValueError(f"a window width must be odd and positive, got {width}; use {width + 1}")
    if not 0 <= center < layers:
        raise ValueError(f"a window centre must be in 0..{layers - 1}, got {center}")
    return range(max(0, center - width // 2), min(layers, center + width // 2 + 1))


def around_every_layer(
    sources: tuple[int, ...], targets: tuple[int, ...], *, width: int, layers: int
) -> list[Knockout]:
    """The same edges cut in a window centred on each layer of the decoder, in order.

    Raises:
        ValueError: `width` is even or not positive.
    """
    return [
        Knockout(sources=sources, targets=targets, layers=layer_window(center, width, layers))
        for center in range(layers)
    ]


def window_width(layers: int, *, of_forty: int = PAPER_WIDTH) -> int:
    """A width that the paper gives for its 40 layers, scaled with the depth to the nearest odd one.

    9 of 40 layers is what a window is unless a mechanism says otherwise (docs/decisions/001).

    >>> [window_width(layers) for layers in (40, 32, 24, 12, 18)]
    [9, 7, 5, 3, 5]
    >>> [window_width(32, of_forty=width) for width in STUDIED_WIDTHS]
    [1, 3, 5, 5, 7, 9, 13]
    """
    return 2 * round((of_forty * layers / 40 - 1) / 2) + 1


def _union(side: str, edge: str) -> tuple[Role, ...]:
    roles = tuple(_role(name.strip(), edge) for name in side.split("+"))
    twice = [role for role in dict.fromkeys(roles) if roles.count(role) > 1]
    if twice:
        raise KnockoutError(
            f"every role of a union once, got {twice[0]} more than once (edge {edge!r}); name it "
            "once"
        )
    return roles


def _check_positions(role: str, positions: tuple[int, ...], length: int) -> None:
    outside = [position for position in positions if not 0 <= position < length]
    if outside:
        raise KnockoutError(
            f"{role} positions in 0..{length - 1}, got {outside[0]}; resolve positions on the "
            "same encoded sample that is measured"
        )


def _check_layers(chosen: range, layers: int) -> None:
    outside = [layer for layer in chosen if not 0 <= layer < layers]
    if outside or chosen.step != 1:
        raise KnockoutError(
            f"contiguous decoder layers in 0..{layers - 1}, got {chosen}; use `layer_window`"
        )


def _role(name: str, edge: str) -> Role:
    known = [str(role) for role in Role]
    if name in known:
        return Role(name)
    closest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean `{closest[0]}`?" if closest else "choose one of them"
    raise KnockoutError(f"a role of {', '.join(known)}, got {name!r} (edge {edge!r}); {hint}")
