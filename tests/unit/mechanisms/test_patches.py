"""Numbers of patches and of sinks, and verdicts that stay what they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmflow_bench.errors import MechanismError
from mmflow_bench.measurements.patch_areas import AreaTable
from mmflow_bench.measurements.patch_norms import NormTable
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.evidence import ONE_IMAGE
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.patches import BINS, Areas, Norms
from mmflow_bench.mechanisms.several import same_verdict
from mmflow_bench.mechanisms.verdicts import NotApplicable, Verdict

IDS = {"question_ids": ("a", "b", "c"), "image_ids": ("i", "i", "j")}


def areas(**changes) -> Areas:
    counts = {"patches": [100, 100, 50], "related": [10, 30, 40], "padding": [0, 20, 0]}
    table = {name: np.array(count) for name, count in (counts | changes).items()}
    return Areas(table=AreaTable(task="ChooseAttr", **IDS, **table), alpha=0.05)


def test_a_traceback_does_not_write_out_the_numbers_of_every_patch() -> None:
    assert "array" not in repr(areas()) + repr(norms())


def norms(**changes) -> Norms:
    tower = (np.array([20.0, 30.0, 90.0, 30.0]), np.full(2, 10.0), np.array([60.0, 10.0]))
    given = {
        "threshold": np.full(3, 57.0),
        "tower": tower,
        "projected": tuple(2 * each for each in tower),
        "massive": tuple(np.zeros(len(each)) for each in tower),
    }
    return Norms(table=NormTable(task="ChooseAttr", **IDS, **given | changes), alpha=0.05)


def dropping(depth: float, images: int = 100, noise: float = 0.01, seed: int = 0) -> Curve:
    draw = np.random.default_rng(seed)
    values = np.full((images, 10), -depth) + noise * draw.standard_normal((images, 10))
    ids = tuple(str(number) for number in range(images))
    return Curve(name="image->last on T", values=values, image_ids=ids, width=1, alpha=0.05)


def test_shares_are_means_over_samples_with_an_interval_over_images():
    assert areas().related.value == pytest.approx((0.1 + 0.3 + 0.8) / 3)
    assert areas().padding.value == pytest.approx(0.2 / 3)
    assert areas().related_to_other.value == pytest.approx(0.4 / 0.6)
    assert (areas().related.n, areas().related.images) == (3, 2)
    assert areas().related.low < 0.4 < areas().related.high


def test_where_everything_is_related_there_is_no_other_to_compare_with():
    everything = areas(related=[100, 100, 50])
    assert everything.related.value == 1.0
    assert math.isnan(everything.related_to_other.value)


def test_sinks_are_counted_of_as_many_patches_as_the_paper_has():
    assert norms().sinks.value == pytest.approx(576 * (0.25 + 0.0 + 0.5) / 3)
    assert norms().sinks_projected.value == pytest.approx(576 * (0.75 + 0.0 + 0.5) / 3)
    assert norms().outstanding.value == pytest.approx((90 / 30 + 1.0 + 60 / 35) / 3)
    assert norms(tower=(np.zeros(3),) * 3).outstanding.value == 1.0


def test_the_distribution_of_norms_has_every_patch_once():
    found = norms().distribution
    assert len(found) == BINS
    assert sum(found) == pytest.approx(1.0)
    # 90 is 1.58 thresholds: the 32nd step of a twentieth.
    assert found[31] == pytest.approx(0.25 / 3)
    assert norms(tower=(np.full(2, 1e6),) * 3).distribution[-1] == 1.0


def test_nothing_is_said_of_sinks_where_no_sample_has_one():
    assert norms().require_sinks()
    with pytest.raises(NotApplicable, match="outstanding norm"):
        norms(threshold=np.full(3, 1000.0)).require_sinks()
    with pytest.raises(NotApplicable, match="massive"):
        norms().require_decoder_sinks()
    massive = (np.zeros(4), np.zeros(2), np.array([0.0, 20.0]))
    assert norms(massive=massive).require_decoder_sinks()
    with pytest.raises(NotApplicable, match="CLIP"):
        norms(threshold=np.array([57.0, 57.0, 56.0])).require_papers_threshold()


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (0.3, 0.2, Verdict.HOLDS),
        (0.02, 0.05, Verdict.HOLDS),
        (0.3, 0.02, Verdict.FAILS),
        (0.02, 0.3, Verdict.FAILS),
    ],
)
def test_verdicts_are_the_same_where_both_hold_or_both_fail(one, other, verdict):
    found = same_verdict(dropping(one).peak <= -0.1, dropping(other, seed=1).peak <= -0.1)
    assert found.verdict is verdict
    assert min(found.p_hold, found.p_fail) == found.p_value <= 0.05
    assert max(found.p_hold, found.p_fail) > 0.05


@pytest.mark.parametrize("is_first", [True, False])
def test_nothing_is_the_same_while_one_of_both_is_undecided(is_first):
    clear = dropping(0.3).peak <= -0.1
    unclear = dropping(0.3, images=1).peak <= -0.1
    pair = (unclear, clear) if is_first else (clear, unclear)
    found = same_verdict(*pair)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == ONE_IMAGE


def test_the_same_verdict_can_be_asked_beside_something_else():
    drops = [dropping(0.3, seed=seed).peak for seed in (0, 1)]
    alike = same_verdict(drops[0] <= -0.1, drops[1] <= -0.1)
    both = alike & (drops[0] - drops[1]).equivalent_to_zero(0.05)
    assert both.verdict is Verdict.HOLDS
    assert len(both.parts) == 2
    assert (alike & (drops[0] <= -0.5)).verdict is Verdict.FAILS


@pytest.mark.parametrize("asked", ["patch_areas", "patch_norms"])
def test_samples_without_patches_to_look_at_say_why(measured, asked):
    class Lacking(type(measured())):
        def table(self, task, want):
            found = want.example(task, 4)
            lists = {name: getattr(found, name) for name in type(found).__dataclass_fields__}
            return type(found)(**{name: of[:0] for name, of in lists.items()} | {"task": task})

        def refusals(self, task):  # noqa: ARG002
            return {of: {"no-patch-features": 3} for of in ("areas of patches", "norms of patches")}

    flow = Flow(Lacking(measured().known))
    with pytest.raises(NotApplicable, match="no-patch-features: 3"):
        getattr(flow, asked)("ChooseAttr")
    with pytest.raises(MechanismError, match="ChooseAttr"):
        getattr(flow, asked)("ChoseAttr")
