"""Sec. 6: first the whole image, then the objects that are asked about."""

import pytest

from mmflow_bench import B1, B2, CONSISTENT, SIX_TASKS, Gate, agree
from mmflow_bench.mechanisms.bands import SLIGHT
from mmflow_bench.mechanisms.paper import (
    NEXT_LLAMA3_8B,
    SMALL_DROP_TASKS,
    TWO_DROP_TASKS,
    VICUNA_7B,
    VICUNA_13B,
)
from mmflow_bench.mechanisms.several import all_of

pytestmark = pytest.mark.mechanism(
    section="Sec. 6, related and other patches", citation="Sec. 6, Fig. 5"
)


@pytest.mark.mechanism("oth-dom-1", gate=Gate("peak", "other_patches -> question", band=B1))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_other_patches_predominate_in_the_first_stage(flow, task):
    """Patches other than the asked-about objects predominate in the first stage."""
    other = flow("other_patches -> question", task).peak_in(B1)
    related = flow("related_patches -> question", task).peak_in(B1)
    # App. I: weaker in the 7b checkpoint.
    assert other - related <= (-0.03 if flow.paper_model == VICUNA_7B else -0.10)


@pytest.mark.mechanism("rel-dom-2", gate=Gate("peak", "related_patches -> question", band=B2))
@pytest.mark.parametrize("task", TWO_DROP_TASKS)
def test_related_patches_dominate_in_the_second_stage(flow, task):
    """Patches of the asked-about objects dominate in the second stage."""
    related = flow.second_drop("related_patches -> question", task).peak
    other = flow.second_drop("other_patches -> question", task).peak
    assert related - other <= -0.05


@pytest.mark.mechanism("rel-dom-2")
@pytest.mark.parametrize("task", SMALL_DROP_TASKS)
def test_related_patches_change_more_in_the_second_stage(flow, task):
    related = flow.second_drop("related_patches -> question", task).peak
    other = flow.second_drop("other_patches -> question", task).peak
    assert (related <= SLIGHT) & (related < other)


# App. I finds the same in the other checkpoints, but in Llama3-LLaVA-NeXT a single drop.
@pytest.mark.mechanism("patches-account", unsaid_of=(NEXT_LLAMA3_8B,))
@pytest.mark.parametrize("task", TWO_DROP_TASKS)
def test_each_kind_of_patch_accounts_for_one_drop(flow, task):
    """Other and related patches account for the two drops individually."""
    second, related = (
        flow.second_drop(f"{of} -> question", task) for of in ("image", "related_patches")
    )
    is_second = (second.peak <= SLIGHT) & (related.peak / second.peak >= 0.6)
    assert other_patches_account_for_the_first_drop(flow, task) & is_second


# Where the paper sees one drop and a "smaller decrease", there is one to account for.
@pytest.mark.mechanism("patches-account", unsaid_of=(NEXT_LLAMA3_8B,))
@pytest.mark.parametrize("task", SMALL_DROP_TASKS)
def test_other_patches_account_for_the_only_drop(flow, task):
    assert other_patches_account_for_the_first_drop(flow, task)


def other_patches_account_for_the_first_drop(flow, task):
    first, other = (flow(f"{of} -> question", task).at(B1) for of in ("image", "other_patches"))
    return first.is_present & (other.peak / first.peak >= 0.6)


@pytest.mark.mechanism("patches-layers-consistent")
def test_layers_of_both_kinds_are_the_same_in_all_tasks(flow):
    """The layers of both kinds of patches are the same in all tasks."""
    other = [flow("other_patches -> question", task) for task in SIX_TASKS]
    related = [flow("related_patches -> question", task) for task in SIX_TASKS]
    assert (
        all_of([drop.peak <= SLIGHT for drop in (*other, *related)])
        & agree([drop.peak_depth for drop in other], within=CONSISTENT)
        & agree([drop.peak_depth for drop in related], within=CONSISTENT)
    )


@pytest.mark.mechanism("order-oth-rel")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_other_patches_come_before_related_ones(flow, task):
    """Other patches reach the question before the related ones do."""
    other = flow("other_patches -> question", task)
    related = flow("related_patches -> question", task)
    one_layer = 1 / flow.layers
    assert other.is_present & related.is_present & (related.centre - other.centre >= one_layer)


@pytest.mark.mechanism("oth-7b-less", citation="App. I, Fig. 22", only_for=(VICUNA_7B,))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_less_flows_from_other_patches_in_the_smaller_checkpoint(flow, task):
    """Less flows from other patches in LLaVA-1.5-7b than in LLaVA-1.5-13b."""
    larger = flow.other(VICUNA_13B)
    drops = [model("other_patches -> question", task).peak_in(B1) for model in (flow, larger)]
    assert drops[0] > drops[1]
