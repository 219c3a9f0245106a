"""Of numbers that are none there is no table, and no verdict either way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmflow_bench.errors import StoreError
from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.verdicts import Inconclusive, NotApplicable

NUMBERS = {
    Sweep.of("image->last", width=1): ("base_probability", "knockout_probability"),
    Lens(probe="answer", variant="raw"): ("probability", "final_probability"),
    Blind(blinding=Blinding.REMOVED): ("base_probability", "blind_probability"),
}


def test_what_gave_no_finite_number_is_undecided_and_says_so(measured):
    measurements = measured(captions=True)
    lost = ("image->last", "image removed")
    measurements.refusals = lambda _: {name: {"not-finite": 7} for name in lost}
    flow = Flow(measurements)
    with pytest.raises(Inconclusive, match=r"not measured: .* image->last \(not-finite: 7\)"):
        flow("image -> last", "ChooseAttr")
    with pytest.raises(Inconclusive, match="not measured: no sample of ChooseAttr gave numbers"):
        flow.blind("ChooseAttr")
    with pytest.raises(NotApplicable, match="has positions for image->question"):
        flow("image -> question", "ChooseAttr")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_table_has_numbers_that_are_none(value):
    for want, names in NUMBERS.items():
        table = want.example("T", 4)
        for name in names:
            spoiled = getattr(table, name).copy()
            spoiled.flat[-1] = value
            with pytest.raises(StoreError, match="on T that are finite, got NaN or infinity"):
                replace(table, **{name: spoiled})
