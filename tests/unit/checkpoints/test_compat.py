"""`--compat=paper` reads the paper to the letter of its program, and is part of what is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.errors import PositionError
from mmflow_bench.measurements.identity import store_identity
from mmflow_bench.positions.spans import find_published


def spec_of(**settings):
    return resolve_spec("planted/base", CheckpointSettings(device="cpu", **settings))


def test_with_the_papers_input_it_implies_its_rule_of_patches():
    settings = CheckpointSettings(device="cpu", compat="paper")
    spec = resolve_spec("llava-hf/llava-1.5-7b-hf", settings)
    assert (spec.compat, spec.input, spec.patches) == ("paper", "paper", "painted")


def test_a_checkpoint_with_another_input_is_read_to_the_letter_for_the_rest():
    spec = spec_of(compat="paper")
    assert (spec.compat, spec.input, spec.patches) == ("paper", "hub", "overlap")


def test_careful_is_the_default():
    assert spec_of().compat == "careful"


def test_what_is_kept_depends_on_it_and_older_stores_stay_valid():
    careful = replace(spec_of(), input="paper", patches="painted")
    literal = replace(careful, compat="paper")
    identities = [store_identity(spec, "weights") for spec in (careful, literal)]
    assert "compat" not in identities[0]
    assert identities[1] == {**identities[0], "compat": "paper"}


def test_the_first_substring_counts_inside_another_word_too():
    text = "What is the hat made of?"
    assert find_published(text, "hat", sample="1") == (1, 4)
    with pytest.raises(PositionError, match="once in the question, got none"):
        find_published(text, "cat", sample="1")
    with pytest.raises(PositionError, match="got none"):
        find_published(text, "", sample="1")
