"""junit.xml of the run folder: every mechanism and every comparison as a case with its values.

pytest's own `--junit-xml` has the tests; this file also has what no test stands for, the paired
comparison, and is written after the gate has decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mmflow_bench.baselines.gate import GateDecision
from mmflow_bench.baselines.paired_records import Change, ComparedRow
from mmflow_bench.reports.comparison_table import numbers_of
from mmflow_bench.reports.escaping import MOST, plain, xml_text
from mmflow_bench.reports.summary import Summary
from mmflow_bench.runs.rows import MechanismRow, fields_in

_SKIPPED = frozenset({"inconclusive", "skipped", "xfailed"})
_ENDS = ("failure", "skipped")
_LONGEST = 1000
"""Characters of any attribute."""


def junit(summary: Summary) -> str:
    """The text of junit.xml.

    Failures are what fails the gate: what --gate does not ask about is reported as skipped.
    """
    root = Element("testsuites")
    suites = [("mmflow.mechanisms", [_mechanism(row) for row in summary.rows])]
    if summary.comparison is not None:
        cases = [_compared(row) for row in summary.comparison.rows]
        cases += [_refused(reason) for reason in summary.comparison.refused]
        suites.append(("mmflow.baseline", cases))
    if summary.gate is not None:
        suites.append(("mmflow.gate", [_gate(summary.gate)]))
    if summary.incomplete:
        suites.append(("mmflow.run", [_incomplete(summary.incomplete)]))
    for name, cases in suites:
        root.append(_suite(name, summary, cases))
    # Whatever a case says, in whichever place: XML 1.0 has no signs for some of it.
    for element in root.iter():
        element.attrib = {key: xml_text(said, _LONGEST) for key, said in element.items()}
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(name: str, summary: Summary, cases: list[Element]) -> Element:
    counts = {kind: sum(case.find(kind) is not None for case in cases) for kind in _ENDS}
    suite = Element(
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=str(counts["failure"]),
        # A test that broke has no verdict, so no row; pytest's own file has it.
        errors="0",
        skipped=str(counts["skipped"]),
    )
    _add_properties(suite, {"run_id": summary.run_id, "checkpoint": summary.name})
    suite.extend(cases)
    return suite


def _mechanism(row: MechanismRow) -> Element:
    case = _case("mmflow.mechanisms", row.id, row.task)
    case.set("time", f"{row.seconds:.3f}")
    _add_properties(case, {name: getattr(row, name) for name in fields_in("junit")})
    end = "failure" if row.has_failed else "skipped" if row.outcome in _SKIPPED else ""
    return _ended(case, end, f"{row.verdict}: {row.reason or row.threshold}", row.outcome)


def _compared(row: ComparedRow) -> Element:
    case = _case("mmflow.baseline", row.id, row.task)
    _add_properties(case, asdict(row))
    before, after, _, moved, _ = numbers_of(row)
    said = f"{row.verdict}: {row.reason or f'{before} to {after} {moved}'}"
    ends: dict[str, str] = {Change.CHANGED: "failure", Change.UNCHANGED: ""}
    return _ended(case, ends.get(row.verdict, "skipped"), said, Change.CHANGED)


def _refused(reason: str) -> Element:
    case = _case("mmflow.baseline", "experiment", "all")
    return _ended(case, "failure", reason, Change.NOT_COMPARABLE, most=_LONGEST)


def _gate(gate: GateDecision) -> Element:
    end = "" if gate.passed else "failure"
    return _ended(_case("mmflow.gate", "gate", "all"), end, gate.line, "gate", most=_LONGEST)


def _incomplete(why: str) -> Element:
    return _ended(_case("mmflow.run", "complete", "all"), "failure", why, "incomplete", most=1000)


def _case(suite: str, name: str, task: str) -> Element:
    return Element("testcase", classname=suite, name=plain(f"{name}[{task}]"))


def _ended(case: Element, end: str, said: str, kind: str, *, most: int = MOST) -> Element:
    """A case with what JUnit calls its end: a failure, which has a type, or that it was skipped."""
    if end:
        child = SubElement(case, end, message=plain(said, most))
        if end == "failure":
            child.set("type", kind)
    return case


def _add_properties(parent: Element, values: Mapping[str, object]) -> None:
    kept = {name: value for name, value in values.items() if value not in (None, "")}
    if kept:
        properties = SubElement(parent, "properties")
        for name, value in kept.items():
            SubElement(properties, "property", name=f"mmflow.{name}", value=plain(value))
