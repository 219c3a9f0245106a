"""Why answered samples lack what was wanted of them, counted once for each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """One sample that a want could not be measured on."""

    name: str
    """What was wanted, for readers: an edge, or `lens`."""
    note: str
    """How, where it was not in its plain form."""
    reason: str
    sample: str


def refusals_of(found: Iterable[Refusal]) -> dict[str, dict[str, int]]:
    """What was wanted -> reason -> samples.

    A sample is refused in every window, but counted once. Where another method alone refuses it,
    as the counterfactual does without a donor, the method stands behind the name.
    """
    distinct = set(found)
    counts: dict[str, Counter[str]] = {}
    for one in sorted(distinct):
        if one.note and Refusal(one.name, "", one.reason, one.sample) in distinct:
            continue
        name = f"{one.name} ({one.note})" if one.note else one.name
        counts.setdefault(name, Counter())[one.reason] += 1
    return {name: dict(reasons) for name, reasons in counts.items()}
