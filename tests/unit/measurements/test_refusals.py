"""Reasons are counted by sample, whatever the windows and methods that met them."""

from __future__ import annotations

from mmflow_bench.measurements.refusals import refusals_of
from mmflow_bench.store.shards import sweep_shard

EDGE = "related_patches->question"


def shard(method="masked", width=9):
    return sweep_shard(EDGE, method=method, width=width)


def test_windows_and_other_methods_count_a_sample_once():
    refused = {("a", shard(width=width)): "no-boxes" for width in (1, 9)}
    refused |= {("a", shard("unnormalised")): "no-boxes", ("b", shard()): "no-boxes"}
    refused |= {("a+donor", shard("counterfactual")): "no-boxes"}
    assert refusals_of(refused, {"a", "b"}) == {EDGE: {"no-boxes": 2}}


def test_what_another_method_alone_refuses_is_said_of_it():
    refused = {
        ("a", shard("counterfactual")): "knockout-refused",
        ("b", shard()): "no-boxes",
        ("b", "lens"): "case-variants-coincide",
    }
    assert refusals_of(refused, {"a", "b"}) == {
        "lens": {"case-variants-coincide": 1},
        EDGE: {"no-boxes": 1},
        f"{EDGE} (counterfactual)": {"knockout-refused": 1},
    }


def test_other_samples_and_answers_are_left_out():
    refused = {("a", "answer"): "missing-image", ("z", shard()): "no-boxes"}
    assert refusals_of(refused, {"a"}) == {}
