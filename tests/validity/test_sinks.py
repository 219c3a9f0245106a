"""Rows on sinks and areas of patches hold where they should, and each fails where it should.

Curves and norms are those that planted designs predict, which tests/planted/test_sinks.py holds
measured ones against, for many images at once.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.measurements.knockout_sweep import Sweep, SweepTable
from mmflow_bench.measurements.patch_areas import AreaTable, PatchAreas
from mmflow_bench.measurements.patch_norms import NormTable, PatchNorms
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.comparisons import Comparison, Recorder, current_recorder
from mmflow_bench.mechanisms.declared import shipped_suites
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.paper import VICUNA_13B
from mmflow_bench.mechanisms.verdicts import NotApplicable, Verdict
from mmflow_bench.planted import closed_form
from mmflow_bench.planted.variants import design_of
from mmflow_bench.positions.sinks import PAPER_THRESHOLD

IMAGES, PATCHES, RELATED = 200, 576, 48
PLAIN = {
    "related_patches": "related_patches",
    "other_patches": "other_patches",
    "related_without_sinks": "related_patches",
    "other_without_sinks": "other_patches",
    "related_without_decoder_sinks": "related_patches",
    "other_without_decoder_sinks": "other_patches",
}
"""What a role is where there are no sinks."""


class Predicted:
    """What a planted checkpoint would measure, from its design alone."""

    paper_model = VICUNA_13B
    tasks = known_tasks = SIX_TASKS
    decoder_layers, width, noise_floor = 40, 9, 1e-6

    def __init__(self, name: str, *, sinks_of_576: float = 3.3, share: float = 0.0) -> None:
        self.name, self.design = name, design_of(name)
        self.sinks_of_576, self.share = sinks_of_576, share

    def ensure(self, task: str, wants: Collection[Want[object]] = ()) -> None:
        """Everything is there."""

    def accuracy(self, task: str) -> AnswerCount:
        return AnswerCount(task=task, selected=IMAGES, correct=IMAGES, unscored={})

    def refusals(self, task: str) -> Mapping[str, Mapping[str, int]]:  # noqa: ARG002
        return {}

    def part(self) -> Predicted:
        return self

    def table(self, task: str, want: Want[Any]) -> Any:
        if isinstance(want, Sweep):
            return self._sweep(task, want.name.partition("->")[0], want.width or self.width)
        return self._areas(task) if isinstance(want, PatchAreas) else self._norms(task, want)

    def _change(self, task: str, source: str, width: int) -> np.ndarray:
        if source == "matched_patches":
            # In the base any patch of wallpaper is as good as all.
            return self.share * self._change(task, "other_patches", width)
        if source == "padding_patches":
            return np.zeros(self.decoder_layers)
        edge = source if self.design.has_sinks else PLAIN.get(source, source)
        return closed_form.relative_change(self.name, f"{edge}->question", width=width, task=task)

    def _sweep(self, task: str, source: str, width: int) -> SweepTable:
        draw = np.random.default_rng([len(source), width])
        change = np.tile(self._change(task, source, width), (IMAGES, 1))
        change += 1e-3 * draw.standard_normal(change.shape)
        return SweepTable(
            edge=f"{source}->question",
            task=task,
            window=width,
            method="masked",
            answer_token_ids=(1,) * IMAGES,
            base_probability=np.full(IMAGES, 0.5),
            knockout_probability=np.clip(0.5 * (1 + change), 0, 1),
            **_ids(),
        )

    def _areas(self, task: str) -> AreaTable:
        counts = {"patches": PATCHES, "related": RELATED, "padding": 0}
        columns = {name: np.full(IMAGES, count) for name, count in counts.items()}
        return AreaTable(task=task, **_ids(), **columns)

    def _norms(self, task: str, want: Want[Any]) -> NormTable:
        assert isinstance(want, PatchNorms)
        draw = np.random.default_rng(0)
        tower, massive = [], []
        for _ in range(IMAGES):
            norms = draw.uniform(20, 40, PATCHES)
            norms[: draw.poisson(self.sinks_of_576) if self.design.tower_sink else 0] = 90.0
            tower.append(norms)
            of_patch = np.zeros(PATCHES)
            of_patch[5] = 22.6 if self.design.decoder_sink else 0.0
            massive.append(of_patch)
        return NormTable(
            task=task,
            threshold=np.full(IMAGES, PAPER_THRESHOLD),
            tower=tuple(tower),
            projected=tuple(np.full(PATCHES, 10.0) for _ in range(IMAGES)),
            massive=tuple(massive),
            **_ids(),
        )


def _ids() -> dict[str, tuple[str, ...]]:
    names = tuple(str(number) for number in range(IMAGES))
    return {"question_ids": names, "image_ids": names}


@cache
def suite(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(shipped_suites(), f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked(test: Callable[..., None], measured: Predicted, task: str = "ChooseAttr") -> Comparison:
    """The comparison that a row of a suite makes, whatever it is decided as."""

    class Watching(Recorder):
        is_watching = True

    recorder = Watching()
    token = current_recorder.set(recorder)
    try:
        test(flow=Flow(measured), task=task)
    finally:
        current_recorder.reset(token)
    (comparison,) = recorder.comparisons
    return comparison


EXCLUDED = "test_verdicts_stay_without_patches_of_outstanding_norm"
OF_TOWER = "test_drops_stay_without_sinks_of_the_vision_tower"
OF_DECODER = "test_drops_stay_without_sinks_of_the_decoder"


@pytest.mark.parametrize("task", ["ChooseAttr", "LogicalObj"])
@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("sinks-idle", ()),
        ("tower-sink-read", (EXCLUDED, OF_TOWER)),
        ("decoder-sink-read", (OF_DECODER,)),
    ],
)
def test_each_row_fails_where_its_sinks_carry_the_context(name, failing, task):
    verdicts = {
        test: asked(getattr(suite("test_appE_sinks"), test), Predicted(f"planted/{name}"), task)
        for test in (EXCLUDED, OF_TOWER, OF_DECODER)
    }
    found = {test: one.verdict for test, one in verdicts.items()}
    assert found == {test: Verdict.FAILS if test in failing else Verdict.HOLDS for test in verdicts}


@pytest.mark.parametrize("test", [EXCLUDED, OF_TOWER, OF_DECODER])
def test_without_any_sink_nothing_is_said(test):
    with pytest.raises(NotApplicable, match="no patch of ChooseAttr"):
        asked(getattr(suite("test_appE_sinks"), test), Predicted("planted/base"))


@pytest.mark.parametrize(
    ("count", "verdict"), [(3.3, Verdict.HOLDS), (12.0, Verdict.FAILS), (1.0, Verdict.FAILS)]
)
def test_the_number_of_sinks_is_the_papers_or_is_not(count, verdict):
    test = suite("test_appE_sinks").test_about_three_patches_are_sinks
    measured = Predicted("planted/sinks-idle", sinks_of_576=count)
    found = asked(test, measured)
    assert found.verdict is verdict
    assert found.estimate.value == pytest.approx(count, abs=0.5)


def test_numbers_of_sinks_are_asked_of_the_papers_tower_alone():
    class OtherTower(Predicted):
        def _norms(self, task, want):
            table = super()._norms(task, want)
            return NormTable(**{**_fields(table), "threshold": table.threshold - 1})

    module = suite("test_appE_sinks")
    for test in (
        module.test_about_three_patches_are_sinks,
        module.test_patches_above_the_same_norm_after_the_projector,
    ):
        with pytest.raises(NotApplicable, match="CLIP ViT-L/14-336"):
            asked(test, OtherTower("planted/sinks-idle"))


def test_observations_are_the_planted_numbers():
    measured, areas = Predicted("planted/sinks-idle"), suite("test_sec6_areas")
    for test, value in (
        (areas.test_share_of_the_patches_that_are_related, RELATED / PATCHES),
        (areas.test_as_many_other_patches_against_the_related_ones, 0.0),
        (areas.test_patches_of_padding_alone, 0.0),
        (suite("test_appE_sinks").test_patches_above_the_same_norm_after_the_projector, 0.0),
        (suite("test_appE_sinks").test_how_far_the_largest_norm_stands_out, 90 / 30),
    ):
        found = asked(test, measured)
        assert found.verdict is Verdict.REPORT
        assert found.estimate.value == pytest.approx(value, abs=0.15)


@pytest.mark.parametrize("share", [0.0, RELATED / (PATCHES - RELATED)])
def test_the_drop_of_a_part_tells_one_content_from_many_patches(share):
    """Zero where every patch adds its share; the share itself is missing where one is enough."""
    test = suite("test_sec6_areas").test_drop_of_some_other_patches_against_their_share
    found = asked(test, Predicted("planted/sinks-idle", share=share))
    expected = share - RELATED / (PATCHES - RELATED)
    assert found.estimate.value == pytest.approx(expected, abs=0.005)


def _fields(table: NormTable) -> dict[str, Any]:
    return {name: getattr(table, name) for name in NormTable.__dataclass_fields__}
