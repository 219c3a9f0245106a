"""Reasons are counted by sample, whatever the windows and methods that met them."""

from __future__ import annotations

from mmflow_bench.measurements.records import Refusal, refusals_of

EDGE = "related_patches->question"


def test_windows_and_other_methods_count_a_sample_once():
    refused = [Refusal(EDGE, "", "no-boxes", "a")] * 2
    refused += [Refusal(EDGE, "unnormalised", "no-boxes", "a"), Refusal(EDGE, "", "no-boxes", "b")]
    refused += [Refusal(EDGE, "counterfactual", "no-boxes", "a")]
    assert refusals_of(refused) == {EDGE: {"no-boxes": 2}}


def test_what_another_method_alone_refuses_is_said_of_it():
    refused = [
        Refusal(EDGE, "counterfactual", "knockout-refused", "a"),
        Refusal(EDGE, "", "no-boxes", "b"),
        Refusal("lens", "", "case-variants-coincide", "b"),
    ]
    assert refusals_of(refused) == {
        "lens": {"case-variants-coincide": 1},
        EDGE: {"no-boxes": 1},
        f"{EDGE} (counterfactual)": {"knockout-refused": 1},
    }
