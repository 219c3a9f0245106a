"""Numbers with intervals, whose comparisons are three-way questions.

`drop.peak <= -0.1` is not True or False but a `Comparison`; `assert` turns it into an outcome.
Estimates that are computed from the same images stay paired through arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.measurements.records import FEW_IMAGES
from mmflow_bench.mechanisms.bands import hidden_by_noise
from mmflow_bench.mechanisms.comparisons import Comparison
from mmflow_bench.mechanisms.evidence import Evidence, Kind, Known, evidence_of
from mmflow_bench.mechanisms.numbers import formatted, sparkline
from mmflow_bench.mechanisms.regions import Region, decide, two_instruments
from mmflow_bench.mechanisms.verdicts import FEW
from mmflow_bench.statistics.betting import Wager, combined_wager
from mmflow_bench.statistics.resampling import ImageStatistic, joined


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Estimate:
    """A number, its 1 - alpha interval over images, and the curve it comes from."""

    source: ImageStatistic | Known
    """The number as a function of image weights, or with an interval that is known already."""
    name: str
    """What is estimated, for readers."""
    unit: str
    """`fraction`, `probability`, `depth` or `ratio`."""
    n: int
    """Samples."""
    alpha: float
    """Error rate of the two-sided interval."""
    kind: Kind = Kind.SMOOTH
    curve: tuple[float, ...] | None = None
    """By layer, for a sparkline."""
    floor: float = 0.0
    """How exactly the instrument knows the number; the interval is never narrower."""
    twin: Estimate | None = None
    """The same number by another instrument that should agree."""
    tails: int = 2
    """Sides that share `alpha` in the resampled interval: 1 in a test of equivalence."""
    obstacle: str = ""
    """Why nothing can be decided on it, whatever its value."""
    wager: Wager | None = None
    """How the number is bet on, where samples are drawn one by one and it is made of means."""
    looks: float = 1.0
    """How many looks at more and more samples share `alpha`, where nothing is bet."""

    @cached_property
    def value(self) -> float:
        """The number on the samples as they are; NaN where it is not defined."""
        return self.wager.value if self.wager else self.source.value

    @cached_property
    def replicates(self) -> Float[ndarray, "draw"] | None:
        """Its bootstrap replicates, in the same draws of images as any other's of these images."""
        return None if isinstance(self.source, Known) else self.source.replicates()

    @property
    def images(self) -> int | None:
        """Distinct images behind the number; None where they were not counted."""
        return self.source.images if isinstance(self.source, Known) else len(self.source.images)

    @property
    def caution(self) -> str:
        """What a reader must know beside a verdict on this estimate."""
        is_drawn = isinstance(self.source, ImageStatistic) and self.wager is None
        is_small = is_drawn and (self.images or 0) < FEW_IMAGES
        return FEW if is_small else ""

    @cached_property
    def evidence(self) -> Evidence:
        """Everything that a verdict rests on."""
        return evidence_of(
            self.source,
            self.value,
            kind=self.kind,
            alpha=self.alpha / self.shared_by,
            tails=self.tails,
            floor=self.floor,
            obstacle=self.obstacle,
            wager=self.wager,
        )

    @property
    def shared_by(self) -> float:
        """How many looks share the error rate: a bet may be looked at whenever one likes."""
        return 1.0 if self.wager else self.looks

    @property
    def low(self) -> float:
        """Lower bound of the interval; NaN where there is none."""
        return self.evidence.interval.low if self.evidence.interval else math.nan

    @property
    def high(self) -> float:
        """Upper bound of the interval; NaN where there is none."""
        return self.evidence.interval.high if self.evidence.interval else math.nan

    def compare(self, region: Region) -> Comparison:
        """Whether the estimate lies in a region; by both instruments where there are two.

        Raises:
            MechanismError: No value of its unit could lie there, or any must.
        """
        region.refuse_unmeant(self.unit, of=self.name)
        own = _compared(self, region)
        return two_instruments(own, _compared(self.twin, region)) if self.twin else own

    def __le__(self, other: float | Estimate) -> Comparison:
        return _against(self, other, lambda bound: Region(high=bound, sign="<="))

    def __lt__(self, other: float | Estimate) -> Comparison:
        return _against(self, other, lambda bound: Region(high=bound, sign="<"))

    def __ge__(self, other: float | Estimate) -> Comparison:
        return _against(self, other, lambda bound: Region(low=bound, sign=">="))

    def __gt__(self, other: float | Estimate) -> Comparison:
        return _against(self, other, lambda bound: Region(low=bound, sign=">"))

    def within(self, low: float, high: float) -> Comparison:
        return self.compare(Region(low=low, high=high, sign=".."))

    def equivalent_to_zero(self, margin: float) -> Comparison:
        """Within +-`margin` of zero by two one-sided tests, that is by the 1 - 2 alpha interval."""
        return _one_sided(self).compare(Region(low=-margin, high=margin, sign="+-"))

    def at_least(self, value: float, *, bound: float) -> Comparison:
        """At least `value` as measured, and above `bound` with confidence.

        For thresholds that say how large an effect must look, not how large it must be shown to be;
        it fails when the whole interval is below `value`.
        """
        return self.compare(Region(low=bound, sign=">", least=value))

    def at_most(self, value: float, *, bound: float) -> Comparison:
        """At most `value` as measured, and below `bound` with confidence; as `at_least` does."""
        return self.compare(Region(high=bound, sign="<", most=value))

    def __sub__(self, other: Estimate | float) -> Estimate:
        if not isinstance(other, Estimate):
            return self + -other
        # The instrument may err on both in opposite directions.
        floor = self.floor + other.floor
        name = f"{self.name} - {other.name}"
        return combined(
            np.subtract, [self, other], name=name, unit=self.unit, floor=floor, scales=(1.0, -1.0)
        )

    def __add__(self, other: Estimate | float) -> Estimate:
        if not isinstance(other, Estimate):
            shift = float(other)
            name = f"{self.name} {'-' if shift < 0 else '+'} {abs(shift):g}"
            return combined(
                lambda x: x + shift, [self], name=name, unit=self.unit, scales=(1.0,), shift=shift
            )
        floor = self.floor + other.floor
        name = f"{self.name} + {other.name}"
        return combined(
            np.add, [self, other], name=name, unit=self.unit, floor=floor, scales=(1.0, 1.0)
        )

    def __mul__(self, factor: float) -> Estimate:
        floor = self.floor * abs(factor)
        name = f"{factor:g} x {self.name}"
        return combined(
            lambda x: x * factor,
            [self],
            name=name,
            unit=self.unit,
            floor=floor,
            scales=(factor,),
        )

    __rmul__ = __mul__

    def __truediv__(self, other: Estimate) -> Estimate:
        """The paired ratio; not defined where the denominator is below the noise floor."""
        name = f"{self.name} / {other.name}"
        # First-order propagation of both errors; a denominator of zero has no ratio anyway.
        scale = max(abs(other.value), other.floor)
        floor = 0.0
        if scale > 0:
            floor = (self.floor + abs(self.value / scale) * other.floor) / scale

        def ratio(
            above: Float[ndarray, "draw"], below: Float[ndarray, "draw"]
        ) -> Float[ndarray, "draw"]:
            return above / np.where(np.abs(below) > other.floor, below, np.nan)

        quotient = combined(ratio, [self, other], name=name, unit="ratio", floor=floor)
        hidden = hidden_by_noise(abs(other.value), other.floor)
        return replace(quotient, obstacle=quotient.obstacle or hidden)

    def __repr__(self) -> str:
        number = formatted(self.value, self.unit)
        bounds = f"[{formatted(self.low, self.unit)}, {formatted(self.high, self.unit)}]"
        line = sparkline(self.curve, 40) if self.curve else ""
        return f"{self.name} = {number} {bounds} (n={self.n}) {line}".rstrip()


def combined(
    function: Callable[..., Float[ndarray, "draw"]],
    parts: Sequence[Estimate],
    *,
    name: str,
    unit: str,
    floor: float | None = None,
    scales: Sequence[float] = (),
    shift: float = 0.0,
) -> Estimate:
    """A function of paired estimates, elementwise on the same draws of images.

    It is known as exactly as `floor` says, or as the first part when that is None. What is a sum of
    multiples says so by its `scales` and `shift`: then it can be bet on where its parts can.

    Raises:
        TypeError: A part is a known interval, which cannot be resampled.
    """
    statistics = [part.source for part in parts if isinstance(part.source, ImageStatistic)]
    if len(statistics) != len(parts):
        raise TypeError("estimates that are resampled, got a known interval; compare it as it is")
    # What has no second instrument is the same number by both.
    twins = [part.twin or part for part in parts]
    has_twin = any(part.twin for part in parts)
    again = partial(
        combined, function, name=name, unit=unit, floor=floor, scales=scales, shift=shift
    )
    # The least regular part decides how the whole behaves when images are drawn again.
    kind = max((part.kind for part in parts), key=list(Kind).index)
    return Estimate(
        source=joined(function, statistics),
        name=name,
        unit=unit,
        n=min(part.n for part in parts),
        alpha=parts[0].alpha,
        kind=kind,
        curve=next((part.curve for part in parts if part.curve), None),
        floor=parts[0].floor if floor is None else floor,
        obstacle=next((part.obstacle for part in parts if part.obstacle), ""),
        twin=again(twins) if has_twin else None,
        wager=combined_wager([part.wager for part in parts], scales, shift) if scales else None,
        looks=max(part.looks for part in parts),
    )


def mean(*values: Float[ndarray, "draw"]) -> Float[ndarray, "draw"]:
    return np.asarray(np.mean(values, axis=0))


def _compared(estimate: Estimate, region: Region) -> Comparison:
    looks = estimate.shared_by
    decision = decide(estimate.evidence, region, alpha=estimate.alpha / looks)
    return Comparison(
        verdict=decision.verdict,
        estimate=estimate,
        threshold=region.text(estimate.unit),
        p_hold=min(1.0, looks * decision.p_hold),
        p_fail=min(1.0, looks * decision.p_fail),
        qualifier=estimate.caution,
        reason=decision.reason,
        is_exact=isinstance(estimate.source, Known) and not estimate.source.counts,
    )


def _one_sided(estimate: Estimate) -> Estimate:
    """The same estimate with its 1 - 2 alpha interval, and a whole alpha for either side."""
    twin = _one_sided(estimate.twin) if estimate.twin else None
    return replace(estimate, tails=1, twin=twin)


def _against(
    estimate: Estimate, other: float | Estimate, region: Callable[[float], Region]
) -> Comparison:
    if isinstance(other, Estimate):
        return (estimate - other).compare(region(0.0))
    return estimate.compare(region(float(other)))
