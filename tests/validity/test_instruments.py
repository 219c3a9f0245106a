"""Rows on the instruments fail on the checkpoints that fool one of them, and on no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from killing import verdicts

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.instruments import (
    flips_to_other_answer,
    gain_of_other_answer,
    renormalisation,
)
from mmflow_bench.planted import closed_form
from mmflow_bench.planted.gains import PAPER_GAINS, RIVALS

pytestmark = pytest.mark.slow

KILLED = {
    "planted/base": set(),
    "planted/sink-trap": {"x-cf-value", "x-renorm"},
    "planted/backup-head": {"x-cf-value"},
    "planted/lens-mode": {"x-role-llamas"},
}
ROWS = ("x-cf-value", "x-renorm", "x-role-llamas")


def test_each_instrument_is_doubted_where_it_is_fooled(tmp_path: Path) -> None:
    found = verdicts(
        tmp_path, models=list(KILLED), mechanisms=",".join(ROWS), options=["--no-twins", "-n", "2"]
    )
    for name, failing in KILLED.items():
        said = {row.partition("[")[0]: verdict for row, verdict in found[name].items()}
        assert {row for row, verdict in said.items() if verdict == "fails"} == failing, name
        assert set(said) == set(ROWS)
        assert set(said.values()) <= {"holds", "fails"}


def opened(name: str, folder: Path) -> Measurements:
    settings = MeasurementSettings(limit="4", self_test=False, cache=folder)
    return Measurements.open(resolve_checkpoint(name), settings)


def wallpaper(sample: Sample) -> np.ndarray:
    """Which patches of a scene show no object."""
    picture = np.asarray(sample.image.convert("RGB")).reshape(6, 14, 6, 14, 3).swapaxes(1, 2)
    # an outline has a colour of its own, and every patch of an object shows some of it
    return ~(picture == (48, 44, 52)).all(-1).any((2, 3))


def test_what_another_image_brings_is_what_the_gains_say(tmp_path: Path) -> None:
    """Its wallpaper takes the place of the own one where both have some; attention stays."""
    measurements, gains = opened("planted/base", tmp_path), PAPER_GAINS["ChooseAttr"]
    flow = Flow(measurements)
    gained = gain_of_other_answer(flow, "image -> question", "ChooseAttr")
    brought = []
    for sample in measurements.part().samples.of("ChooseAttr"):
        donor = measurements.samples.donor("ChooseAttr", sample)
        shared = (wallpaper(sample) & wallpaper(donor)).sum() / wallpaper(sample).sum()
        other, own = np.exp(gains.context * shared), np.exp(gains.lookup)
        brought.append(other / (other + own + RIVALS - 1))
    left = 1 - closed_form.base_probability("planted/base", task="ChooseAttr")
    expected = np.array(brought)[:, None] - left
    np.testing.assert_allclose(-gained.values[:, :5] - expected, 0, atol=1e-4)
    assert np.abs(gained.values[:, 15:]).max() < 1e-4
    flips = flips_to_other_answer(flow, "image -> question", "ChooseAttr")
    assert ((flips.values[:, :5] == -1) == (expected + left > 0.4)).all()
    assert (flips.values[:, 15:] == 0).all()


@pytest.mark.parametrize(("name", "most"), [("planted/base", 0.0), ("planted/sink-trap", -0.46)])
def test_renormalisation_is_what_a_distractor_says(tmp_path: Path, name: str, most: float) -> None:
    changed = renormalisation(Flow(opened(name, tmp_path)), "image -> question", "ChooseAttr")
    expected = closed_form.relative_change(name, "image->question", width=9)[:5] if most else 0.0
    np.testing.assert_allclose(changed.values[:, :5] - expected, 0, atol=1e-4)
    assert changed.values.min() == pytest.approx(most, abs=0.01)
