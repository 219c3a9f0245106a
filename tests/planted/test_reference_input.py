"""What makes two inputs the same: tokens and pixels, not the files that they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmflow_bench.checkpoints.loading import load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.measurements.proved import reference_input
from mmflow_bench.planted.models import save


@pytest.fixture(scope="module")
def loaded():
    return load_checkpoint(resolve_checkpoint("planted/mini"))


@pytest.fixture(scope="module")
def known(loaded):
    return reference_input(loaded)


def test_a_saved_checkpoint_is_asked_the_same(known, tmp_path: Path):
    save("planted/mini", tmp_path / "saved")
    saved = load_checkpoint(resolve_checkpoint(str(tmp_path / "saved")))
    assert reference_input(saved) == known
    assert all(known.values())


def test_another_prompt_is_another_prompt_and_the_same_pixels(loaded, known):
    template = "red {{" + loaded.chat_template.partition("{{")[2]
    before = loaded.chat_template.partition("{{")[0]
    other = reference_input(replace(loaded, chat_template=before + template))
    assert other["reference_prompt"] != known["reference_prompt"]
    assert other["reference_pixels"] == known["reference_pixels"]


@pytest.mark.parametrize("name", ["image_mean", "image_std"])
def test_another_normalisation_is_another_processor(loaded, known, name):
    processor = loaded.processor.image_processor
    before, turned = getattr(processor, name), processor.do_normalize
    try:
        processor.do_normalize = True
        setattr(processor, name, [0.4, 0.4, 0.4])
        other = reference_input(loaded)
    finally:
        setattr(processor, name, before)
        processor.do_normalize = turned
    assert other["reference_pixels"] != known["reference_pixels"]
    assert other["reference_prompt"] == known["reference_prompt"]
