"""Each mechanism's verdict on information flows that are known."""

import pytest

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.mechanisms.declared import mechanisms, shipped
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.verdicts import NotApplicable

MECHANISMS = mechanisms(shipped())
PLACES = {"imgq-layers-consistent", "patches-layers-consistent"}
KILLED = {
    "no_stage1": {
        *("imgq-drop1", "imgq-two-drops", "imgq-drop2-lt-drop1", "oth-dom-1"),
        *("patches-account", "order-oth-rel", *PLACES),
    },
    "no_stage2": {
        *("imgq-drop2", "imgq-two-drops", "rel-dom-2", "patches-account", "order-oth-rel"),
        *("lens-after-integration", *PLACES),
    },
    "single_stage": {
        *("imgq-drop2", "imgq-two-drops", "rel-dom-2", "patches-account", "order-oth-rel"),
        "imgq-layers-consistent",
    },
    "swapped": {
        *("imgq-drop2-lt-drop1", "oth-dom-1", "rel-dom-2", "patches-account", "order-oth-rel"),
    },
    "late_stage2": {
        *("imgq-drop2", "imgq-two-drops", "imgq-low-only", "rel-dom-2", "patches-account"),
        *("lens-lower-mid", "imgq-layers-consistent"),
    },
    "st1_related": {"oth-dom-1", "patches-account", "order-oth-rel", "patches-layers-consistent"},
    "stage2_from_other": {
        *("rel-dom-2", "patches-account", "order-oth-rel", "lens-after-integration"),
        "patches-layers-consistent",
    },
    "direct": {
        *("q-last-drop", "q-last-mid", "q-last-predominant", "img-last-null"),
        *("img-last-lt-indirect", "imgq-drop", "imgq-drop1", "imgq-drop2", "imgq-two-drops"),
        *("imgq-drop2-lt-drop1", "order-imgq-qlast", "stages-disjoint", "oth-dom-1", "rel-dom-2"),
        *("patches-account", "order-oth-rel", "lens-after-integration", *PLACES),
    },
    "img_last_too": {"img-last-null"},
    "suffix_readout": {
        *("q-last-drop", "q-last-mid", "q-last-predominant", "order-imgq-qlast"),
        *("stages-disjoint", "lens-after-integration"),
    },
    "early_ql": {"q-last-mid", "lens-lower-mid"},
    "order_rev": {
        *("q-last-mid", "imgq-drop1", "imgq-two-drops", "imgq-drop2-lt-drop1"),
        *("order-imgq-qlast", "oth-dom-1", "rel-dom-2", "patches-account", "lens-lower-mid"),
        *("lens-after-integration", "imgq-layers-consistent"),
    },
    "self_loop": {"last-last-null", "q-last-predominant"},
    "no_lower": {
        *("lens-lower-rise", "lens-lower-mid", "lens-after-integration", "lens-upper-late"),
        "lens-order",
    },
    "lower_kept": {"lens-lower-fall"},
    "upper_early": {"lens-upper-late"},
}
CAPTIONS_ONLY = {one.id for one in MECHANISMS if one.section == "App. G, text only"}
OTHERS_ONLY = {one.id for one in MECHANISMS if one.only_for}
TEXT_TOO = {"acc-95", "last-last-null", "q-last-drop", "q-last-mid", "noise-floor"}
"""Statements that a language model which reads captions is asked about as well."""
SMALL_SECOND_DROP = {("imgq-drop2", "CompareAttr"), ("imgq-drop2", "LogicalObj")}


def test_the_papers_flow_has_every_mechanism_but_what_differs_between_tasks(verdicts):
    # All six tasks of the synthetic flow have the second drop that the paper sees in four.
    for (name, task), verdict in verdicts("base").items():
        expected = "not-applicable" if name in CAPTIONS_ONLY | OTHERS_ONLY else "holds"
        if (name, task) in SMALL_SECOND_DROP:
            expected = "fails"
        assert verdict == expected, (name, task)


@pytest.mark.parametrize("mutant", KILLED)
def test_a_changed_flow_fails_the_mechanisms_that_it_lacks_and_no_other(verdicts, mutant):
    found = verdicts(mutant, tasks=("ChooseAttr", "all"))
    failed = {name for (name, _), verdict in found.items() if verdict == "fails"}
    assert failed == KILLED[mutant]
    assert "inconclusive" not in found.values()


def test_every_mechanism_without_a_control_is_killed_by_some_changed_flow():
    killed = set().union(*KILLED.values())
    claims = {one.id for one in MECHANISMS if one.tier == "holds"} - CAPTIONS_ONLY - OTHERS_ONLY
    # Flows without the false option's rise, without any drop, or below chance are other tests.
    assert claims - killed == {"lens-false"}


def test_noise_leaves_open_and_never_turns_round(verdicts):
    clean, noisy = verdicts("base"), verdicts("base", spread=0.4, noise=0.1, n=40)
    changed = {key for key, verdict in noisy.items() if verdict != clean[key]}
    assert changed
    assert {noisy[key] for key in changed} == {"inconclusive"}


@pytest.mark.parametrize("noise", [1e-6, 0.15])
def test_without_any_flow_no_mechanism_that_claims_one_holds(verdicts, noise):
    nothing = verdicts("nothing", noise=noise, tasks=("ChooseAttr", "all"))
    held = {name for (name, _), verdict in nothing.items() if verdict == "holds"}
    allowed = {"acc-95", "last-last-null", "img-last-null", "imgq-low-only", "lens-lower-fall"}
    controls = {"causal-noop", "ds-blind", "lens-final-consistency", "noise-floor"}
    assert held <= allowed | controls


@pytest.mark.parametrize(("n", "noise"), [(1, 0.05), (2, 1e-6), (6, 0.05)])
def test_few_samples_are_never_an_error(verdicts, n, noise):
    found = verdicts("base", n=n, noise=noise)
    wrong = {key for key, verdict in found.items() if verdict == "fails"} - SMALL_SECOND_DROP
    assert not wrong


def test_captions_in_the_images_place_decide_their_own_rows(verdicts):
    found = verdicts("captions", captions=True, tasks=("ChooseAttr",))
    for (name, _), verdict in found.items():
        if name in CAPTIONS_ONLY:
            assert verdict == "holds", name
        elif name not in TEXT_TOO and not name.startswith("lens-"):
            assert verdict == "not-applicable", name
    assert found["lens-after-integration", "ChooseAttr"] == "not-applicable"


def test_the_papers_own_numbers_are_asked_of_its_own_checkpoint_only(verdicts):
    found = verdicts("base", paper_model="llava-1.5-13b")
    replicated = {key: verdict for key, verdict in found.items() if key[0] in OTHERS_ONLY}
    assert replicated["q-last-30", "ChooseAttr"] == "holds"
    assert replicated["imgq-drop1-60", "all"] == "holds"
    assert replicated["imgq-drop2-21", "all"] == "holds"
    assert replicated["img-last-qa-slight", "QueryAttr"] == "fails"
    assert replicated["oth-7b-less", "ChooseAttr"] == "not-applicable"


def test_two_checkpoints_are_compared_when_both_are_measured(measured):
    less = next(test for test in shipped() if test.declaration.id == "oth-7b-less")
    small = measured("weak_stage1", paper_model="llava-1.5-7b")
    large = measured("base", paper_model="llava-1.5-13b")
    less.function(Flow(small, others={"llava-1.5-13b": large}), "ChooseAttr")
    with pytest.raises(NotApplicable, match="does not measure"):
        less.function(Flow(small), "ChooseAttr")


def test_a_task_without_samples_is_not_applicable(measured):
    measurements = measured()
    measurements.tasks = ("ChooseAttr",)
    with pytest.raises(NotApplicable, match="no samples of task ChooseRel"):
        Flow(measurements)("question -> last", "ChooseRel")


def test_all_rows_of_noisy_samples_are_decided(verdicts):
    assert len(verdicts("base", spread=0.3, noise=0.05)) > 150


def test_tasks_of_the_suites_are_the_six(verdicts):
    assert {task for _, task in verdicts("base")} == {*SIX_TASKS, "all"}
