"""Text of users in every written report: shown, and never more than shown."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from mmflow_bench.baselines.gate import GateDecision
from mmflow_bench.baselines.paired_records import BaselineComparison, ComparedRow, TaskPairs
from mmflow_bench.baselines.tolerances import DEFAULTS
from mmflow_bench.reports import github
from mmflow_bench.reports.comparison_table import render_comparison
from mmflow_bench.reports.escaping import command_value, markdown, plain, printable
from mmflow_bench.reports.github import MOST_ANNOTATIONS, MOST_BYTES, annotate, cut
from mmflow_bench.reports.github import markdown as summary_of
from mmflow_bench.reports.junit import junit
from mmflow_bench.reports.summary import Summary
from mmflow_bench.reports.terminal import render
from mmflow_bench.runs.rows import MechanismRow

NASTY = {
    "a tag": "<script>alert(1)</script>",
    "an attribute": '"><img src=x onerror=alert(1)>',
    "a cell": "a | b | c",
    "code": "`rm -rf` ```\n# title",
    "a link": "[click](javascript:alert(1)) ![x](http://e.vil/x.png)",
    "a mention": "@everyone #1 owner/repo#2",
    "a command": "x\n::error title=fake::%0Ainjected\r\n::set-output name=a::b",
    "a command after words": f"{'word ' * 14}::error::injected ##[error]injected",
    "a command in a word": f"{'x' * 80}::error::injected",
    "bare links": "see https://e.vil/x www.e.vil ftp://e.vil GH-12 me@e.vil",
    "an escape": "\x1b[31mred\x1b]8;;http://e.vil\x07\x00\x08",
    "overrides": "safe\u202eexe.gpj\u2066\u200f",
    "arabic": "\u0646\u0645\u0648\u0630\u062c",
    "emoji": "🦙👩‍👩‍👧",
    "length": "x" * 10_000,
    "separators": "../../etc/passwd\\..\\x",
    "a surrogate": "a\ud800b",
    "details": "</summary></details><b>",
}


def compared(name: str = "m", task: str = "ChooseAttr", **changes: object) -> ComparedRow:
    given = {"verdict": "changed", "reading": "peak", "unit": "fraction", "before": -0.4}
    given |= {"after": -0.1, "difference": 0.3, "low": 0.25, "high": 0.35, "n": 40}
    return ComparedRow(id=name, task=task, **(given | changes))


def summary(text: str = "m", *, rows: int = 1) -> Summary:
    comparison = BaselineComparison(
        base=text,
        name=text,
        kind="paired",
        alpha=0.05,
        tolerance=dict(DEFAULTS),
        rows=(
            *(compared(f"{text}{i}", text, reason=text) for i in range(rows)),
            compared("u", verdict="undecided", reason=text),
            compared("s", verdict="unchanged"),
        ),
        tasks=(TaskPairs(task=text, both=1, base_only=1, tuned_only=0, neither=0, reworded=1),),
        source=text,
    )
    row = MechanismRow(
        model=text,
        test=text,
        id=text,
        task=text,
        verdict="fails",
        expected="holds",
        outcome="failed",
        reason=text,
    )
    gate = GateDecision(False, (f"changed: {text}",))
    return Summary(name=text, rows=(row,), comparison=comparison, gate=gate, run_id="r")


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_markdown_shows_no_markup_of_others(text):
    written = summary_of(summary(text))
    tags = set(re.findall(r"<[^>]*>", written))
    assert tags == {"<details>", "</details>", "<summary>", "</summary>"}
    assert "`" not in written
    assert "](" not in written
    assert not re.search(r"@\w", written)
    assert not re.search(r"#\d", written.replace("&#", ""))
    assert not re.search(r"://|\bwww\.|\bGH-\d", written)
    assert not any(sign in written for sign in "\x1b\x00\u202e\u2066\u200f")
    # Every line of a table has as many cells as its head.
    for block in re.findall(r"(?:^\|.*\n?)+", written, flags=re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1
    assert len(written) < 20_000
    written.encode()


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_junit_stays_xml_with_as_many_cases(text):
    root = ElementTree.fromstring(junit(summary(text)).partition("?>")[2])
    assert len(list(root.iter("testcase"))) == 1 + 3 + 1
    assert max(len(value) for one in root.iter() for value in one.attrib.values()) <= 1000


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_a_workflow_command_is_one_line_and_one_command(text, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    for line in annotate(summary(text)):
        assert "\n" not in line
        assert "\r" not in line
        assert re.match(r"::(error|warning) title=[^,:]*::", line)
        assert "%0A" not in line.replace("%250A", "")
        line.encode()


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_stays_in_its_lines_and_a_log_obeys_none_of_them(text, width):
    shown = render_comparison(summary(text).comparison, width=width)
    row = MechanismRow(
        model="slug", test=text, id=text, task=text, verdict="fails", outcome="failed",
        expected="holds",
        section="own", statement=text, qualifier=text, threshold=text, estimate=0.1, unit=text,
    )  # fmt: skip
    facts = {
        "checkpoint": {"name": text, "family": text, "dtype": text},
        "tasks": {text: {"selected": 2, "correct": 1, "unscored": {text: 1}}},
        "messages": [text],
        "self_test": [{"name": "a", "passed": False, "detail": text}],
    }
    rows = (row, replace(row, estimate=None, reason=text, task="other"))
    shown += render(rows, facts={"slug": facts}, width=width)
    assert not any(sign in shown for sign in "\x1b\x00\u202e\u2066\x07\r")
    assert max(map(cell_len, shown.splitlines())) <= width
    # GitHub obeys `::command` at the start of a line, `##[command]` anywhere.
    assert not any(line.lstrip().startswith("::") for line in shown.splitlines())
    assert "##[" not in shown
    shown.encode()


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_a_line_of_a_log_is_one_line_in_full_length(text):
    line = printable(f"results: {text}")
    assert len(line.splitlines()) == 1
    assert not any(sign in line for sign in "\x1b\x00\u202e\u2066\x07\ud800")
    assert "::" not in line
    assert "##[" not in line
    assert len(line) >= len(text) - 20
    assert printable("/a  b/c.json") == "/a  b/c.json"


def test_long_text_is_cut_and_short_text_is_not():
    assert plain("x" * 10_000) == "x" * 199 + "…"
    assert plain(" a\tb\n") == "a b"
    assert markdown("emoji 🦙") == "emoji 🦙"
    assert command_value("50% done") == "50%25 done"


def test_text_from_right_to_left_is_isolated():
    assert markdown(NASTY["arabic"]) == f"\u2068{NASTY['arabic']}\u2069"


def test_the_verdict_comes_first_and_what_changed_is_not_folded():
    lines = summary_of(summary("tuned")).splitlines()
    assert lines[0] == "## ❌ gate failed: tuned"
    unfolded = summary_of(summary("tuned")).partition("<details>")[0]
    assert "-40.0% | -10.0% | +30.0% | &#91;25.0, 35.0%&#93; | 40" in unfolded
    assert "unchanged |" not in unfolded


def test_a_pass_is_said_as_one():
    passed = replace(summary("tuned"), gate=GateDecision(True))
    assert summary_of(passed).startswith("## ✅ gate passed: tuned")
    assert summary_of(replace(passed, gate=None)).startswith("## tuned: 1 fails")


def test_a_summary_fits_into_a_comment_and_loses_what_is_folded_first():
    written = summary_of(summary("x" * 150, rows=400))
    assert len(written.encode()) <= MOST_BYTES
    assert written.startswith("## ❌ gate failed")
    assert "in the run folder" in written


def test_a_cut_falls_between_lines():
    text = "ä line\n" * 100
    shorter = cut(text, 200)
    assert len(shorter.encode()) <= 200
    assert all(line == "ä line" for line in shorter.partition("\n\n")[0].splitlines())
    assert cut(text, 10_000) == text


def test_annotations_are_grouped_by_mechanism_and_limited(monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    lines = annotate(summary("m", rows=30))
    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == MOST_ANNOTATIONS
    # One for the gate, 30 changed, one failing mechanism; nine are shown.
    assert errors[-1] == "::error title=mmflow::23 more are in the step summary"
    assert sum(line.startswith("::warning") for line in lines) == 1


def test_failures_are_not_annotated_twice(monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert any("m fails" in line for line in annotate(summary("m")))
    monkeypatch.setattr(github.importlib.util, "find_spec", lambda _: object())
    assert not any("m fails" in line for line in annotate(summary("m")))


def test_the_step_summary_is_appended_to_and_never_too_long(tmp_path, monkeypatch):
    path = tmp_path / "summary"
    path.write_text("what another step said\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    annotate(summary("m"))
    assert path.read_text().startswith("what another step said\n## ❌ gate failed")
    monkeypatch.setattr(github, "MOST_STEP_BYTES", 5000)
    for _ in range(5):
        annotate(summary("m", rows=50))
    assert os.path.getsize(path) <= 5000


def test_junit_fails_what_changed_and_carries_every_number():
    root = ElementTree.fromstring(junit(summary("m")).partition("?>")[2])
    case = next(one for one in root.iter("testcase") if one.get("name") == "m0[m]")
    values = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert values["mmflow.difference"] == "0.3"
    assert (values["mmflow.low"], values["mmflow.high"]) == ("0.25", "0.35")
    assert case.find("failure").get("type") == "changed"
    suites = {one.get("name"): one for one in root.iter("testsuite")}
    assert suites["mmflow.baseline"].get("failures") == "1"
    assert suites["mmflow.baseline"].get("skipped") == "1"
    assert suites["mmflow.gate"].get("failures") == "1"
