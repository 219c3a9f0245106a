"""A run to the letter of the published program: recorded, reported, and never compared unawares."""

from __future__ import annotations

import pytest

from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.measurements.answer import case_variants
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.flow import Flow


@pytest.fixture(scope="module")
def literal():
    spec = resolve_spec("planted/mini", CheckpointSettings(device="cpu", compat="paper"))
    settings = MeasurementSettings(tasks=("ChooseAttr",), limit="4")
    return Measurements.open(spec, settings)


def test_one_lens_decides(literal):
    lens = Flow(literal).lens("noncapitalized", "ChooseAttr")
    assert lens.twin is None
    assert "raw" in lens.name


def test_a_word_is_one_token_of_each_case(literal):
    cases = case_variants(literal.checkpoint, "red")
    assert [len(tokens) for tokens in cases.values()] == [1, 1]


def test_options_are_found(literal):
    curve = Flow(literal)("true_option -> last", "ChooseAttr")
    assert len(curve.values) >= 4
