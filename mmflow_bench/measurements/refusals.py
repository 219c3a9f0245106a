"""Why answered samples lack an edge or the lens, counted once for each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.plan import ANSWER_SCOPE, LENS_SCOPE, sample_of
from mmflow_bench.store.shards import edge_of, method_of


def refusals_of(
    refused: Mapping[tuple[str, str], str], keys: Collection[str]
) -> dict[str, dict[str, int]]:
    """Edge or `lens` -> reason -> samples.

    A sample is refused in every window, but counted once. Where another method alone refuses it,
    as the counterfactual does without a donor, the edge has the method behind it.

    Args:
        refused: (key of the store, scope) -> reason.
        keys: Content hashes of the samples that are looked at.
    """
    found = {
        (*_measured_in(scope), reason, sample_of(stored))
        for (stored, scope), reason in refused.items()
        if scope != ANSWER_SCOPE and sample_of(stored) in keys
    }
    counts: dict[str, Counter[str]] = {}
    for what, method, reason, sample in sorted(found):
        if method and (what, "", reason, sample) in found:
            continue
        name = f"{what} ({method})" if method else what
        counts.setdefault(name, Counter())[reason] += 1
    return {name: dict(reasons) for name, reasons in counts.items()}


def _measured_in(scope: str) -> tuple[str, str]:
    """Edge and method of a scope; no method for the masked knockout and the lens."""
    if scope == LENS_SCOPE:
        return scope, ""
    method = method_of(scope)
    return edge_of(scope), "" if method == Method.MASKED else method
