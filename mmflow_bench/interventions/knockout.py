"""What is cut, where and how: the plain records of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mmflow_bench.errors import KnockoutError


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Knockout:
    """The edges from all `sources` to all `targets`, cut in every head of some layers."""

    sources: tuple[int, ...]
    """Sequence positions that are read from (keys)."""
    targets: tuple[int, ...]
    """Sequence positions that read (queries)."""
    layers: range
    """Decoder layers, 0-based and contiguous."""

    def check(self, *, length: int, layers: int) -> None:
        """Refuse what does not fit a sequence and a decoder.

        Raises:
            KnockoutError: A position is outside the sequence, or a layer outside the decoder.
        """
        for role, positions in (("source", self.sources), ("target", self.targets)):
            outside = [position for position in positions if not 0 <= position < length]
            if outside:
                raise KnockoutError(
                    f"{role} positions in 0..{length - 1}, got {outside[0]}; resolve positions on "
                    "the same encoded sample that is measured"
                )
        outside = [layer for layer in self.layers if not 0 <= layer < layers]
        if outside or self.layers.step != 1:
            raise KnockoutError(
                f"contiguous decoder layers in 0..{layers - 1}, got {self.layers}; use "
                "`layer_window`"
            )
