"""The catalogue and the suites say the same."""

import re
from collections import defaultdict

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.interventions.edges import Edge
from mmflow_bench.mechanisms.catalogue import CATALOGUE
from mmflow_bench.mechanisms.flow import Flow

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


def run_quietly(test, flow):
    from mmflow_bench.mechanisms.verdicts import Inconclusive, NotApplicable

    try:
        test.function(flow, *([] if test.tasks == ("all",) else [test.tasks[0]]))
    except (AssertionError, Inconclusive, NotApplicable):
        return
