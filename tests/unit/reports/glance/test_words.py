"""The sentence: what it says of flows that are known."""

from __future__ import annotations

import pytest
from flows import BASE, LAYERS, drop, flow_record, hill
from run_folders import ROWS, made_up_row

from mmflow_bench.reports.glance.flow import glance_of
from mmflow_bench.reports.glance.words import EMPTY, conditions, sentence


def said(folder, curves, **values):
    text = sentence(glance_of(flow_record(folder, curves, **({"spread": 0.1} | values))))
    assert text.endswith(".")
    assert ". " not in text
    return text


def test_says_the_strongest_path_where_it_is_and_how_much(tmp_path):
    text = said(tmp_path, BASE)
    assert text.startswith(
        "The strongest path is question → last position, in layers 11 to 15 of 20: without it the "
        "answer loses 80% of its probability; before it image → question 40% in layers 0 to 3 and "
        "6 to 9; "
    )
    assert "nothing beyond 5% takes image → last position" in text


def test_of_a_checkpoint_without_the_first_stage_it_says_so(tmp_path):
    text = said(tmp_path, BASE | {"image->question": drop()})
    assert "image → question 4" not in text
    assert "nothing beyond 5% takes image → question and image → last position" in text


def test_of_a_reversed_order_the_image_comes_after(tmp_path):
    reversed_ = {"image->question": hill(14, 17, 0.3), "question->last": hill(2, 6, 0.6)}
    assert "after it image → question 30%" in said(tmp_path, BASE | reversed_)


def test_of_a_text_only_checkpoint_captions_are_the_source(tmp_path):
    text = said(tmp_path, {"caption->last": hill(3, 7, 0.5), "question->last": hill(8, 12, 0.2)})
    assert text.startswith("The strongest path is caption → last position")
    assert "captions → question was not measured" in text
    assert glance_of(flow_record(tmp_path / "b", {"caption->last": drop()})).top == "captions"


def test_says_which_patches_the_image_s_path_begins_at(tmp_path):
    parts = {
        "other_patches->question": hill(0, 3, 0.4),
        "related_patches->question": hill(6, 9, 0.3),
    }
    assert (
        "(by other patches 40% in layers 0 to 3, by related patches 30% in layers 6 to 9)"
        in said(tmp_path, BASE | parts)
    )


def test_of_one_image_everything_is_undecided(tmp_path):
    text = said(tmp_path, BASE, images=1)
    assert text.startswith("No path is shown to carry anything; image → question, ")
    assert "question → last position and image → last position are undecided" in text


@pytest.mark.parametrize("decoder_layers", [None, LAYERS])
def test_of_nothing_it_says_that_nothing_was_measured(tmp_path, decoder_layers):
    glance = glance_of(flow_record(tmp_path, {}, decoder_layers=decoder_layers))
    assert sentence(glance) == f"{EMPTY}."
    assert conditions(glance) == ""


def test_says_where_the_lens_reads_the_answer_first_in_lower_case(tmp_path):
    lenses = {
        "noncapitalized": [0.0] * 15 + [0.5] * 6,
        "capitalized": [0.0] * 18 + [0.9] * 3,
    }
    assert (
        "the logit lens reads the answer in lower case after layer 14 and capitalised after "
        "layer 17" in said(tmp_path, BASE, lenses=lenses)
    )
    silent = said(tmp_path / "none", BASE, lenses={"capitalized": [0.0] * 21})
    assert "the logit lens reads the answer nowhere" in silent


def test_says_what_does_not_hold_by_name_and_of_many_how_many_more(tmp_path):
    assert said(tmp_path / "one", BASE, rows=ROWS).endswith(
        "q-last-drop does not hold; 1 verdict is inconclusive."
    )
    rows = [made_up_row(id=f"m{i}", verdict="fails", outcome="failed") for i in range(5)]
    assert said(tmp_path / "five", BASE, rows=rows).endswith("m0, m1, m2 and 2 more do not hold.")
    assert said(tmp_path / "all", BASE, rows=[made_up_row()]).endswith("decided holds.")


def test_a_registered_checkpoint_is_described_in_its_own_words(tmp_path):
    glance = glance_of(flow_record(tmp_path / "a", BASE, name="planted/no-stage-1"))
    assert "through a line break" in glance.description
    other = glance_of(flow_record(tmp_path / "b", BASE, name="some/one"))
    assert other.description == "llava, 20 decoder layers"
