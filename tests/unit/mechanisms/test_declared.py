"""What the suites declare, and what they read and decide, agree."""

import re
from dataclasses import replace

import pytest

from mmflow_bench.errors import MechanismError
from mmflow_bench.inputs.samples import SIX_TASKS, VQA_TASKS
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.mechanisms.declared import declared_in, mechanisms, shipped
from mmflow_bench.mechanisms.declaring import Declaration, Gate, require_applicable
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.paper import (
    NEXT_LLAMA3_8B,
    PAPER_MODELS,
    SECTIONS,
    SMALL_DROP_TASKS,
    TWO_DROP_TASKS,
    VICUNA_13B,
)
from mmflow_bench.mechanisms.verdicts import Inconclusive, NotApplicable, Reported
from mmflow_bench.mechanisms.watching import watched

MECHANISMS = mechanisms(shipped())
TEXT_ONLY = "App. G, text only"
WINDOWS = "App. B, window size"
PATHS = "beyond the paper, paths"
REMOVAL = "App. F, removal of image tokens"
QUESTION_SAYS = "App. D and K, what the question says"
FURTHER_TOKENS = {"App. C, the last sub-word", "beyond the paper, long answers"}
KNOWLEDGE = ("okvqa", "aokvqa")
CONSISTENT = {"7b-consistent", "16-7b-consistent", "8b-consistent"}
"""They run others again, and read what those read."""
ON_QUESTIONS = {"ds-counts", "ds-unique-images", "ds-source-model"}
"""They say something of the paper's questions alone, which no made-up one is."""


def of_knowledge(*rows):
    return {f"{name}-{row}" for name in KNOWLEDGE for row in rows}


LENS_ON_KNOWLEDGE = of_knowledge(
    "lens-lower-rise", "lens-lower-mid", "lens-lower-fall", "lens-upper-late", "lens-order"
)


def ids(tests):
    return [test.function.__name__ for test in tests]


def test_every_row_is_complete_and_stands_in_a_section_of_the_paper():
    for one in MECHANISMS:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.id)
        assert one.statement.endswith(".")
        assert "\n" not in one.statement
        assert one.citation
        assert set(one.tasks) <= {*SIX_TASKS, *VQA_TASKS, "all"}
        if one.tier == "replicates":
            assert one.only_for


def test_rows_are_in_the_order_of_the_paper_with_the_controls_last():
    sections = list(dict.fromkeys(one.section for one in MECHANISMS))
    assert sections == list(SECTIONS)


def test_rows_are_decided_one_by_one_in_the_file_of_their_section():
    for section in SECTIONS:
        of_section = [test for test in shipped() if test.declaration.section == section]
        assert len({test.function.__module__ for test in of_section}) == 1


def test_no_test_decides_a_mechanism_on_a_task_twice():
    pairs = [(t.declaration.id, task) for t in shipped() for task in t.declaration.tasks]
    assert len(pairs) == len(set(pairs))


def test_the_two_groups_of_tasks_are_the_six():
    assert sorted(TWO_DROP_TASKS + SMALL_DROP_TASKS) == sorted(SIX_TASKS)
    for name in ("imgq-drop2", "rel-dom-2"):
        groups = [test.declaration for test in shipped() if test.declaration.id == name]
        assert [one.tasks for one in groups] == [TWO_DROP_TASKS, SMALL_DROP_TASKS]
        assert groups[0].statement == groups[1].statement
        (united,) = (one for one in MECHANISMS if one.id == name)
        assert united.tasks == SIX_TASKS


def test_watching_finds_what_a_test_reads_of_the_tasks_that_it_is_parametrised_with():
    for test in shipped():
        tasks = {task for reads in watched(test) for task in reads.wants}
        if test.declaration.tasks != ("all",):
            # What is asked is known without a measurement.
            assert not tasks or tasks == {*test.declaration.tasks}, test.declaration.id
        assert tasks or test.declaration.tier == "control", test.declaration.id


@pytest.mark.parametrize("captions", [False, True])
def test_watching_finds_all_that_a_verdict_reads(measured, captions):
    class Watched(type(measured())):
        def table(self, task, want):
            self.seen.add(want)
            return super().table(task, want)

        def part(self):
            # What is read of a part is no part of the plan.
            return measured(paper_model=self.paper_model, captions=captions)

    for test in shipped():
        one = test.declaration
        if one.id in CONSISTENT:
            continue
        paper_model = one.only_for[0] if one.only_for else None
        found = Watched(measured().known, paper_model=paper_model, captions=captions)
        found.seen = set()
        other = measured(paper_model=VICUNA_13B, captions=captions)
        run_quietly(test, Flow(found, others={VICUNA_13B: other}))
        (planned, *_) = (reads.wants for reads in watched(test))
        assert found.seen <= {want for wants in planned.values() for want in wants}, one.id


def test_what_second_opinions_are_asked_of():
    asked = {
        test.declaration.id
        for test in shipped()
        if test.declaration.tier == "holds"
        for reads in watched(test)
        if reads.second_opinions
    }
    no_knockout = {"lens-lower-rise", "lens-lower-mid", "lens-lower-fall", "lens-upper-late"}
    no_knockout |= {"lens-order", "lens-false", "lens-newline-8b"}
    # What is only observed has no verdict to be doubted.
    no_knockout |= {one.id for one in MECHANISMS if is_observation(one.id)}
    # The size of single layers is claimed, no other image stands in for captions, or it is two
    # readings of one knockout that are compared.
    no_twin = {TEXT_ONLY, QUESTION_SAYS, WINDOWS, PATHS, REMOVAL, *FURTHER_TOKENS}
    refused = {"stages-disjoint", "imgq-two-drops", "j3-two-drops", "x-hallucination"}
    refused |= (
        of_knowledge("two-drops")
        | LENS_ON_KNOWLEDGE
        | {one.id for one in MECHANISMS if one.section in no_twin}
    )
    holds = {one.id for one in MECHANISMS if one.tier == "holds"}
    assert asked == holds - no_knockout - refused


def test_windows_of_one_layer_are_read_by_the_rows_that_say_so():
    single = {
        test.declaration.id
        for test in shipped()
        for want in wants_of(test)
        if isinstance(want, Sweep) and want.width == 1
    }
    beyond_the_first_drop = {"imgq-drop2", "imgq-drop2-21", "imgq-two-drops", "imgq-drop2-lt-drop1"}
    beyond_the_first_drop |= {"imgq-layers-consistent", "rel-dom-2", "patches-account"}
    beyond_the_first_drop |= {"sink-excluded", "x-sink-vit", "x-sink-llm"}
    beyond_the_first_drop |= {"sub-imgq", "sub-patches"}
    beyond_the_first_drop |= {"j3-two-drops", "j3-true-gt-false-2", "j4-first-dominant"}
    beyond_the_first_drop |= {"j5-second-dominant", "x-bg-spatial"}
    windows = {one.id for one in MECHANISMS if one.section == WINDOWS}
    windows |= of_knowledge("two-drops") | CONSISTENT
    assert single == {"stages-disjoint"} | beyond_the_first_drop | windows


def test_the_lens_is_read_by_its_section_and_its_control():
    lens = {t.declaration.id for t in shipped() for w in wants_of(t) if isinstance(w, Lens)}
    section = {one.id for one in MECHANISMS if one.section == "Sec. 7, logit lens"}
    others = {"lens-final-consistency", "x-role-llamas"} | LENS_ON_KNOWLEDGE | CONSISTENT
    assert lens == section - {"lens-newline-8b"} | others


def test_the_unit_of_what_is_reported_is_found_by_watching():
    units = {}
    for test in shipped():
        units.setdefault(test.declaration.id, set()).update(*(r.units for r in watched(test)))
    # Heads are told by many samples, and questions are only the paper's.
    unknown = {name for name, found in units.items() if not found}
    assert unknown == ON_QUESTIONS | {"x-head-sparsity"}
    for name in ("q-last-mid", "order-imgq-qlast", "order-oth-rel", "lens-lower-mid"):
        assert "depth" in units[name]
    for name in ("q-last-predominant", "patches-account", "stages-disjoint"):
        assert "ratio" in units[name]
    assert units["imgq-drop"] == {"fraction"}
    assert units["lens-lower-rise"] == {"probability"}


def test_rows_of_one_checkpoint_refuse_every_other_and_rows_of_any_refuse_none(measured):
    for test in shipped():
        one = test.declaration
        captions = one.section == TEXT_ONLY
        applies = set()
        for name in (*PAPER_MODELS, None):
            measurements = measured(paper_model=name, captions=captions, n=2)
            measurements.last, measurements.long_drop = measured(n=2), 0.5
            others = dict.fromkeys(PAPER_MODELS, measurements)
            if run_quietly(test, Flow(measurements, others=others)) != "not-applicable":
                applies.add(name)
        expected = set(one.only_for) or {*PAPER_MODELS, None} - {*one.not_for}
        assert applies <= expected, one.id
        # Wider rows may ask for what made-up samples lack: other questions, sinks, captions.
        assert applies == expected or one.suite != "core", one.id


def test_only_rows_with_captions_or_of_no_answer_ask_for_no_accuracy():
    for one in MECHANISMS:
        follows_no_answer = one.id.startswith(("mod-", "x-backpatch"))
        is_asked = one.section == TEXT_ONLY or follows_no_answer
        assert (one.minimum_accuracy == 0.0) == is_asked, one.id


def is_observation(name):
    """Whether the tests of a mechanism ask nothing of what they read, or break before they do."""
    tests = [test for test in shipped() if test.declaration.id == name]
    asked = [one for test in tests for reads in watched(test) for one in reads.asked]
    return all(one.is_observed for one in asked)


def wants_of(test):
    return {want for reads in watched(test) for wants in reads.wants.values() for want in wants}


def run_quietly(test, flow):
    try:
        require_applicable(test.declaration, flow)
        test.function(flow, **test.cases[0])
    except NotApplicable:
        return "not-applicable"
    except (AssertionError, Inconclusive, Reported):
        return "decided"
    return "decided"


HEAD = "import pytest\nfrom mmflow_bench import Gate\n"


def declared(tmp_path, text, name="test_mine.py"):
    (tmp_path / name).write_text(HEAD + text)
    return [test.declaration for test in declared_in([tmp_path / name])]


def test_a_test_without_a_marker_is_a_mechanism_of_its_name(tmp_path):
    (one,) = declared(tmp_path, 'def test_it(flow):\n    """It does.\n\n    Really.\n    """\n')
    assert (one.id, one.statement, one.section, one.tier) == ("test_it", "It does.", "own", "holds")
    assert one.tasks == ("all",)


def test_a_file_gives_defaults_and_the_closest_marker_wins(tmp_path):
    first, second = declared(
        tmp_path,
        """
pytestmark = [pytest.mark.mechanism(section="Mine", citation="Here", tier="control")]

@pytest.mark.mechanism("a", tier="holds")
def test_a(flow):
    '''A.'''

@pytest.mark.mechanism(citation="There")
class TestB:
    @pytest.mark.mechanism("b", fails_for=["llama3-llava-next-8b"])
    @pytest.mark.parametrize("task", ["X", pytest.param("Y", id="y")])
    @pytest.mark.parametrize("width,far", [(1, 2), (3, 4)])
    def test_b(self, flow, task, width, far):
        '''B.'''
""",
    )
    assert (first.section, first.citation, first.tier) == ("Mine", "Here", "holds")
    assert (second.section, second.citation, second.tier) == ("Mine", "There", "control")
    assert second.fails_for == (NEXT_LLAMA3_8B,)
    assert second.tasks == ("X", "Y")


def test_each_set_of_parameters_is_watched_and_tasks_of_ones_own_too(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        HEAD
        + """
class TestIt:
    @pytest.mark.parametrize("task", ["Mine", "Yours"])
    @pytest.mark.parametrize("width", [1, 3])
    def test_b(self, task, width, flow):
        assert flow("question -> last", task, width=width).peak <= 0
"""
    )
    (test,) = declared_in([tmp_path])
    reads = list(watched(test))
    assert len(reads) == 4
    assert {(task, w.width) for one in reads for task, ws in one.wants.items() for w in ws} == {
        *(("Mine", 1), ("Mine", 3), ("Yours", 1), ("Yours", 3)),
    }


def test_an_id_alone_repeats_what_ships(tmp_path):
    head = '@pytest.mark.parametrize("task", {})\n@pytest.mark.mechanism("imgq-drop2")\n'
    for tasks in (TWO_DROP_TASKS, SMALL_DROP_TASKS):
        (one,) = declared(tmp_path, head.format(tasks) + "def test_it(flow, task): ...\n")
        (same,) = (
            test.declaration
            for test in shipped()
            if test.declaration.id == "imgq-drop2" and test.declaration.tasks == tasks
        )
        assert one == same
    (one,) = declared(
        tmp_path, '@pytest.mark.mechanism("acc-95", tier="holds")\ndef test_it(flow): ...\n'
    )
    (same,) = (one for one in MECHANISMS if one.id == "acc-95")
    assert one == replace(same, tier="holds")


def test_the_second_test_of_an_id_takes_the_words_of_the_first_and_not_its_checkpoints(tmp_path):
    _, second = declared(
        tmp_path,
        """
@pytest.mark.mechanism("mine", section="S", fails_for=["llava-1.5-7b"], gate=Gate("accuracy"))
def test_a(flow):
    '''A.'''

@pytest.mark.mechanism("mine")
def test_b(flow): ...
""",
    )
    assert (second.statement, second.section) == ("A.", "S")
    assert (second.fails_for, second.gate) == ((), None)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('"q-last-dorp"', "a docstring.*got 'q-last-dorp'; did you mean q-last-drop?"),
        ('"a", "b"', r"one id.*got mechanism\('a', 'b'\)"),
        ("3", r"one id.*got mechanism\(3\)"),
        ('"acc-95", teir="holds"', "a keyword.*got 'teir'; did you mean tier?"),
        ('"acc-95", tier="hold"', "a tier .*got 'hold'; did you mean holds?"),
        ('"acc-95", section=3', "a text for section, got 3"),
        ('"acc-95", citation=None', "a text for citation, got None"),
        ('"acc-95", minimum_accuracy="90%"', "a share from 0 to 1 such as 0.9 for minimum_acc"),
        ('"acc-95", minimum_accuracy=90', "a share from 0 to 1 .* for minimum_accuracy, got 90"),
        ('"acc-95", only_for="llava-1.5-7b"', "a tuple of the paper's checkpoints for only_for"),
        ('"acc-95", fails_for=("llava-1.5-7",)', "got 'llava-1.5-7'; did you mean llava-1.5-7b?"),
        ('"acc-95", gate="peak"', r"such as Gate\(.* for gate, got 'peak'"),
    ],
)
def test_what_a_marker_may_not_say(tmp_path, marker, message):
    with pytest.raises(MechanismError, match=rf"test_mine\.py::test_it: .*{message}"):
        declared(tmp_path, f"@pytest.mark.mechanism({marker})\ndef test_it(flow): ...\n")


@pytest.mark.parametrize(
    ("said", "message"),
    [("section='B'", "one section"), ("citation='B'", "one citation"), ("tier='control'", "tier")],
)
def test_two_tests_of_one_id_must_agree(tmp_path, said, message):
    text = "@pytest.mark.mechanism('a', {})\ndef test_{}(flow):\n    '''A.'''\n\n"
    declared(tmp_path, text.format("", "a") + text.format(said, "b"))
    with pytest.raises(MechanismError, match=f"{message}.* for all tests of a, got"):
        mechanisms(declared_in([tmp_path]))


@pytest.mark.parametrize(
    "given", [("top", "image -> question"), ("peak",), ("accuracy", "image -> question")]
)
def test_a_gate_that_cannot_be_read_is_refused(given):
    with pytest.raises(MechanismError, match="got"):
        Gate(*given)


def test_a_gate_with_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="did you mean `question`"):
        Gate("peak", "image -> qestion")


def test_tests_that_cannot_be_imported_are_said_so(tmp_path):
    with pytest.raises(MechanismError, match="tests that can be imported, got No module"):
        declared(tmp_path, "import nothing_of_this_name\n")


def test_the_paper_has_no_word_on_what_only_work_since_asks_for():
    said = Declaration(id="own", suite="paper")
    since = Declaration(id="own", suite="all", fails_for=(VICUNA_13B,))
    assert {said.expected_of(model) for model in PAPER_MODELS} == {"holds"}
    assert {model: since.expected_of(model) for model in PAPER_MODELS} == {
        **dict.fromkeys(PAPER_MODELS),
        VICUNA_13B: "fails",
    }
