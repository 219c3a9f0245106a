"""The closing tables, at the widths people have."""

from __future__ import annotations

import itertools

import pytest
from rich.cells import cell_len

from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.reports.terminal import render, unscored_lines
from mmflow_bench.runs.rows import MechanismRow, verdict_line

FACTS = {"planted_base": {"checkpoint": {"name": "planted/base", "decoder_layers": 40}}}
CURVE = tuple(0.0 if layer != 20 else -0.5 for layer in range(40))


def row(**changes: object) -> MechanismRow:
    given: dict = {
        "model": "planted_base",
        "test": "test_suite.py::test_a",
        "id": "q-last-drop",
        "task": "CompareAttr",
        "verdict": "holds",
        "outcome": "passed",
        "expected": "holds",
        "section": "Sec. 5, into the last position",
        "statement": "cutting the question off the last position lowers the answer's probability",
        "estimate": -1.0,
        "low": -1.0,
        "high": -0.9999,
        "unit": "fraction",
        "threshold": "<= -10.0%",
        "n": 1000,
        "curve": CURVE,
    }
    return MechanismRow(**given | changes)


ROWS = [
    row(),
    row(task="QueryAttr", verdict="inconclusive", outcome="inconclusive"),
    row(task="LogicalObj", verdict="fails", expected="fails", outcome="xfailed"),
    row(task="ChooseRel", verdict="holds", outcome="xpassed"),
    row(task="ChooseAttr", verdict="holds", outcome="failed", baseline="drift"),
    row(id="lens-order", section="Sec. 6, the logit lens", estimate=0.5, unit="depth", curve=()),
    row(
        id="x", verdict="precondition-failed", estimate=None, reason="1 of 40 answers correct " * 9
    ),
]


@pytest.mark.parametrize("width", [80, 200])
def test_every_line_fits(width):
    lines = render(ROWS, facts=FACTS, width=width).splitlines()
    assert max(map(cell_len, lines)) <= width


def test_every_number_is_there_at_80_columns():
    text = render(ROWS[:1], facts=FACTS, width=80)
    for part in ("CompareAttr", "✓ holds", "-100.0%", "[-100.0, -100.0%]", "1000", "<= -10.0%"):
        assert part in text
    assert "▁" in text


def test_a_wide_terminal_shows_every_layer():
    text = render(ROWS[:1], facts=FACTS, width=200)
    assert "█" * 20 + "▁" + "█" * 19 in text


def test_text_without_colour_has_no_escape_codes():
    assert "\x1b" not in render(ROWS, facts=FACTS, width=80, colour=False)
    assert "\x1b" in render(ROWS, facts=FACTS, width=80, colour=True)


def test_unexpected_outcomes_are_told_apart():
    text = render(ROWS, facts=FACTS, width=80)
    assert "✗ fails (known)" in text
    assert "✓ holds (new)" in text
    assert "≠ holds" in text


def test_a_row_without_numbers_says_why_in_full():
    text = render(ROWS[-1:], facts=FACTS, width=80)
    assert "precondition-failed" in text
    assert " ".join(text.split()).count("1 of 40 answers correct") == 9
    assert "…" not in text.partition("probability")[2]


def test_the_longest_verdict_and_its_numbers_are_whole_at_80_columns():
    long = row(verdict="instrument-dependent", qualifier="few images")
    lines = render([row(), long], facts=FACTS, width=80).splitlines()
    (shown,) = [line for line in lines if "CompareAttr  ? instrument-dependent*" in line]
    for part in ("-100.0%", "[-100.0, -100.0%]", "1000", "<= -10.0%"):
        assert part in shown
    assert max(map(cell_len, lines)) <= 80
    (other,) = [line for line in lines if " holds " in line and "CompareAttr" in line]
    assert other.index("[-100") == shown.index("[-100")


@pytest.mark.parametrize("name", ["q-last-drop", "a-mechanism-of-somebody-elses-with-a-long-name"])
def test_statements_are_whole_at_80_columns(name):
    statement = "Cutting the question off the last position costs more than anybody has thought."
    lines = render([row(id=name, statement=statement)], facts=FACTS, width=80).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(name))
    below = itertools.takewhile(lambda line: "holds" not in line, lines[first:])
    assert " ".join(" ".join(below).split()) == f"{name} {statement}"
    assert max(map(cell_len, lines)) <= 80


def test_long_names_of_tasks_do_not_cut_the_curves():
    rows = [row(task="of-a-photo-and-a-text"), row()]
    lines = render(rows, facts=FACTS, width=90).splitlines()
    curves = [line for line in lines if " holds " in line]
    assert len(curves) == 2
    assert not any("…" in line for line in lines)
    assert len({line.index("[-") for line in curves}) == 1


def test_a_checkpoint_of_the_shape_of_the_papers_is_told_how_to_be_asked_as_it():
    known = {"name": "/runs/mine", "as": None, "resembles": "llava-1.5-7b"}
    text = render(ROWS, facts={"planted_base": {"checkpoint": known}}, width=200)
    assert "it has the shape of llava-1.5-7b: --mmflow-as=llava-1.5-7b asks" in text
    asked = {"name": "/runs/mine", "as": "llava-1.5-7b", "resembles": None}
    text = render(ROWS, facts={"planted_base": {"checkpoint": asked}}, width=200)
    assert "asked as llava-1.5-7b" in text
    assert "--mmflow-as" not in text + render(ROWS, facts=FACTS, width=200)


def test_counts_name_what_was_expected():
    assert verdict_line(ROWS) == (
        "4 holds, 1 fails (1 as expected), 1 inconclusive, 1 precondition-failed"
    )


def test_unscored_samples_are_counted_by_reason():
    tasks = {"ChooseAttr": {"selected": 9, "correct": 1, "unscored": {"missing-image": 2}}}
    lines = unscored_lines({"tasks": tasks, "messages": ["an image file, got nothing"]})
    assert lines[0] == "unscored: ChooseAttr missing-image 2 (of 9)"
    assert "an image file" in lines[1]
    assert unscored_lines({"tasks": {}, "messages": []}) == []


def test_edges_that_some_samples_lack_are_counted_and_what_all_lack_is_not_listed():
    edges = {
        "caption->last": {"no-caption": 8},
        "related_patches->question": {"ambiguous-object": 3},
    }
    count = {"selected": 9, "correct": 8, "unscored": {}, "edges_unscored": edges}
    assert unscored_lines({"tasks": {"ChooseAttr": count}}) == [
        "unscored: ChooseAttr related_patches->question ambiguous-object 3 (of 8)"
    ]


def test_units_decide_the_format():
    assert formatted(-0.3, "fraction", is_aligned=True) == "-30.0%"
    assert formatted(-2e-7, "fraction", is_aligned=True) == "0.0%"
    assert formatted(0.525, "depth", is_aligned=True) == "0.53"
    assert formatted(12345.0, "layers", is_aligned=True) == "1.234e+04"


def test_qualifiers_stand_below_the_rows_they_mark():
    rows = [row(qualifier="raw lens only"), row(task="QueryAttr", qualifier="raw lens only")]
    lines = render(rows, facts=FACTS, width=80).splitlines()
    assert sum("✓ holds*" in line for line in lines) == 2
    assert lines.count("  * raw lens only") == 1


def test_a_mechanism_that_applies_to_no_task_takes_one_line():
    nothing = {"verdict": "not-applicable", "estimate": None, "reason": "no captions"}
    rows = [row(**nothing), row(task="QueryAttr", **nothing)]
    text = render(rows, facts=FACTS, width=80)
    assert "2 tasks      - not-applicable no captions" in text
    assert "QueryAttr" not in text
