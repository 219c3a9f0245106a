"""What a test reads is seen without measuring anything."""

import pytest

from mmflow_bench import report
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.measuring import asked_of_tasks
from mmflow_bench.mechanisms.several import all_of, at_least
from mmflow_bench.mechanisms.watching import watch

TASK = "ChooseAttr"


def test_every_edge_window_and_probe_is_seen_by_task():
    def test(flow):
        flow("image -> last", "QueryAttr")
        flow("question -> last", TASK, width=1)
        flow.lens("capitalized", TASK, variant="raw")

    assert watch(test).wants == {
        "QueryAttr": (Sweep.of("image->last"),),
        TASK: (Sweep.of("question->last", width=1), Lens(probe="capitalized", variant="raw")),
    }


def test_what_comes_after_an_assertion_is_seen_too():
    def test(flow):
        assert flow("image -> last", TASK).peak <= -0.99
        assert not flow("question -> last", TASK).peak_depth.within(0, 1) or True
        assert flow.accuracy(TASK) >= 2

    reads = watch(test)
    assert reads.wants[TASK] == (Sweep.of("image->last"), Sweep.of("question->last"))
    assert reads.units == {"fraction", "depth"}


@pytest.mark.parametrize("end", [KeyError, AssertionError, pytest.skip.Exception, SystemError])
def test_a_test_that_breaks_is_planned_as_far_as_it_came(end):
    def test(flow):
        flow("image -> last", TASK)
        raise end("whatever")

    assert watch(test).wants == {TASK: (Sweep.of("image->last"),)}


def test_ctrl_c_is_no_ending_of_a_test():
    def test(flow):  # noqa: ARG001
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(test)


def test_a_test_about_one_checkpoint_is_watched_on_any_and_others_are_not_its_own():
    def test(flow):
        flow.only_for("llava-1.5-7b")
        assert flow("image -> last", TASK).peak > flow.other("x")("last -> last", TASK).peak

    assert watch(test).wants == {TASK: (Sweep.of("image->last"),)}


def test_second_opinions_are_the_same_wants_by_the_other_methods():
    def both(flow):
        flow("image -> last", TASK)
        flow.lens("answer", TASK)

    assert set(watch(both).second_opinions[TASK]) == {
        Sweep.of("image->last", method=Method.COUNTERFACTUAL),
        Sweep.of("image->last", method=Method.UNNORMALISED),
    }


def test_what_a_test_asks_of_part_of_the_samples_is_planned_whatever_is_asked_again():
    def exchanged(flow):
        part = flow.by(Method.UNNORMALISED)
        part("image -> last", TASK)
        part.lens("answer", TASK)

    reads = watch(exchanged)
    other = Sweep.of("image->last", method=Method.UNNORMALISED)
    assert reads.of_part == {TASK: (other,)}
    planned = asked_of_tasks([(reads, False)])[TASK]
    assert planned.second_opinions == (other,)
    # What is no other method's is read of all of them.
    assert planned.wants == watch(lambda flow: flow.lens("answer", TASK)).wants[TASK]


@pytest.mark.parametrize(
    "ask",
    [
        lambda flow: flow.lens("answer", TASK),
        lambda flow: (flow("image -> last", TASK), flow("image -> last", TASK, width=1)),
        lambda flow: flow("caption -> last", TASK),
    ],
    ids=["no knockout", "single layers", "captions"],
)
def test_where_no_other_method_can_be_asked_there_is_no_second_opinion(ask):
    assert watch(ask).second_opinions == {}


def test_another_method_is_asked_of_part_of_every_checkpoint(measured):
    class Parted(type(measured())):
        def part(self):
            part = Parted(self.known)
            part.is_part = True
            return part

        def table(self, task, want):
            seen.append((getattr(self, "is_part", False), want))
            return super().table(task, want)

    seen = []
    known = measured().known
    flow = Flow(Parted(known), others={"llava-1.5-13b": Parted(known)}).by("counterfactual")
    flow("image -> last", TASK)
    flow.other("llava-1.5-13b")("image -> last", TASK)
    wanted = Sweep.of("image->last", method="counterfactual")
    assert seen == [(True, wanted)] * 2


def test_what_is_asked_of_an_estimate_is_seen_in_the_order_of_asking():
    def test(flow):
        first = flow("image -> last", TASK).peak
        assert (first <= -0.1) & (first >= -0.5)
        assert flow("question -> last", TASK).centre >= 0.3

    asked = watch(test).asked
    assert [one.threshold for one in asked] == ["<= -10%", ">= -50%", ">= 0.3"]
    assert asked[0].estimate == f"peak of image->last on {TASK}"
    assert not any(one.is_observed or one.among for one in asked)


def test_of_an_observation_no_second_opinion_is_planned():
    def asks(flow):
        assert flow("image -> last", TASK).peak <= -0.1

    def observes(flow):
        assert report(flow("image -> last", TASK).peak)

    assert watch(asks).second_opinions
    reads = watch(observes)
    assert reads.wants == watch(asks).wants
    assert [one.is_observed for one in reads.asked] == [True]
    assert not reads.second_opinions


def test_how_many_of_several_suffice_is_seen_and_that_all_are_needed_is_not_said():
    def test(flow):
        drops = [flow(edge, TASK).peak <= -0.1 for edge in ("image -> last", "question -> last")]
        assert at_least(1, drops)
        assert all_of(drops)

    assert [one.among for one in watch(test).asked] == ["1 of 2", "1 of 2", "", ""]
