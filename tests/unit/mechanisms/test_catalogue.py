"""The catalogue and the suites say the same."""

import re
from collections import defaultdict

from mmflow_bench.mechanisms.catalogue import CATALOGUE
from mmflow_bench.mechanisms.mechanism import PAPER_MODELS, SMALL_DROP_TASKS, TWO_DROP_TASKS

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.interventions.edges import Edge
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.recording import Recorder, current_recorder
from mmflow_bench.mechanisms.verdicts import Inconclusive, NotApplicable

BY_ID = {mechanism.id: mechanism for mechanism in CATALOGUE}


def test_ids_are_unique_and_rows_complete():
    assert len(BY_ID) == len(CATALOGUE)
    for mechanism in CATALOGUE:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mechanism.id)
        assert re.fullmatch(r"1[a-z]", mechanism.section)
        assert mechanism.statement.endswith(".")
        assert mechanism.citation
        assert set(mechanism.tasks) <= {*SIX_TASKS, "all"}
        assert all(str(Edge.parse(edge)) == edge for edge in mechanism.edges)
        if mechanism.tier == "replicates":
            assert mechanism.paper_models


def test_suites_decide_every_mechanism_on_its_tasks_and_no_other(suites):
    decided = defaultdict(list)
    for test in suites:
        decided[test.mechanism] += test.tasks
    assert {name: sorted(tasks) for name, tasks in decided.items()} == {
        mechanism.id: sorted(mechanism.tasks) for mechanism in CATALOGUE
    }


def test_suites_read_what_the_catalogue_declares(suites, measured):
    class Watched(type(measured())):
        def sweep(self, task, edge, *, width, method="masked"):
            self.seen.add((edge, "one" if width == 1 else "auto"))
            return super().sweep(task, edge, width=width, method=method)

        def lens(self, task, *, probe, variant):
            self.seen.add(("lens", ""))
            return super().lens(task, probe=probe, variant=variant)

    known = measured().known
    for test in suites:
        mechanism = BY_ID[test.mechanism]
        paper_model = mechanism.paper_models[0] if mechanism.paper_models else None
        for captions in (False, True):
            watched = Watched(known, paper_model=paper_model, captions=captions)
            watched.seen = set()
            others = {"llava-1.5-13b": watched}
            run_quietly(test, Flow(watched, others=others))
            widths = {"auto": {"auto"}, "one": {"one"}, "both": {"auto", "one"}}[mechanism.widths]
            declared = {(edge, width) for edge in mechanism.edges for width in widths}
            declared |= {("lens", "")} if mechanism.lens else set()
            if captions == (mechanism.needs == "captions"):
                assert watched.seen == declared, mechanism.id
            assert watched.seen <= declared, mechanism.id


def test_a_row_is_decided_in_the_file_of_its_section(suites):
    for test in suites:
        section = BY_ID[test.mechanism].section
        file = test.function.__module__
        expected = "suites_test_controls" if section == "1z" else f"suites_test_{section}_"
        assert file.startswith(expected), (test.mechanism, file)


def test_suites_and_catalogue_mean_the_same_tasks_by_two_drops(suites):
    for test in suites:
        names = test.function.__globals__
        if "TWO_DROP_TASKS" in names:
            assert tuple(names["TWO_DROP_TASKS"]) == TWO_DROP_TASKS
            assert tuple(names["SMALL_DROP_TASKS"]) == SMALL_DROP_TASKS
    assert sorted(TWO_DROP_TASKS + SMALL_DROP_TASKS) == sorted(SIX_TASKS)


def test_rows_of_one_checkpoint_refuse_every_other_and_rows_of_any_refuse_none(suites, measured):
    for test in suites:
        mechanism = BY_ID[test.mechanism]
        captions = mechanism.needs == "captions"
        applies = set()
        for name in (*PAPER_MODELS, None):
            measurements = measured(paper_model=name, captions=captions)
            others = dict.fromkeys(PAPER_MODELS, measurements)
            if run_quietly(test, Flow(measurements, others=others)) != "not-applicable":
                applies.add(name)
        if mechanism.paper_models:
            assert applies == set(mechanism.paper_models), mechanism.id
        else:
            assert None in applies, mechanism.id


def test_the_estimate_that_is_reported_has_the_unit_that_the_catalogue_says(suites, measured):
    for test in suites:
        mechanism = BY_ID[test.mechanism]
        name = mechanism.paper_models[0] if mechanism.paper_models else None
        measurements = measured(paper_model=name, captions=mechanism.needs == "captions")
        recorder = Recorder()
        token = current_recorder.set(recorder)
        others = dict.fromkeys(PAPER_MODELS, measurements)
        run_quietly(test, Flow(measurements, others=others))
        current_recorder.reset(token)
        units = {part.estimate.unit for one in recorder.comparisons for part in parts_of(one)}
        assert mechanism.unit in units, (mechanism.id, units)


def test_only_rows_with_captions_ask_for_no_accuracy(suites):
    for test in suites:
        mark = next(mark for mark in test.function.pytestmark if mark.name == "mechanism")
        asks_nothing = mark.kwargs == {"minimum_accuracy": 0.0}
        assert asks_nothing == (BY_ID[test.mechanism].section == "1i")
        assert asks_nothing or not mark.kwargs


def parts_of(comparison):
    return [inner for part in comparison.parts for inner in parts_of(part)] or [comparison]


def run_quietly(test, flow):
    try:
        test.function(flow, *([] if test.tasks == ("all",) else [test.tasks[0]]))
    except NotApplicable:
        return "not-applicable"
    except (AssertionError, Inconclusive):
        return "decided"
    return "decided"
