"""junit.xml of the run folder: every mechanism and every comparison as a case with its values.

pytest's own `--junit-xml` has the tests; this file also has what no test stands for, the paired
comparison, and is written after the gate has decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mmflow_bench.baselines.paired_records import CHANGED, NOT_COMPARABLE, UNDECIDED, ComparedRow
from mmflow_bench.reports.comparison_table import numbers_of
from mmflow_bench.reports.escaping import xml_text
from mmflow_bench.reports.summary import Summary
from mmflow_bench.runs.rows import MechanismRow, fields_in

_SKIPPED = frozenset({"inconclusive", "skipped", "xfailed"})


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
        suites.append(("mmflow.gate", [_gate(summary)]))
    for name, cases in suites:
        root.append(_suite(name, summary, cases))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(name: str, summary: Summary, cases: list[Element]) -> Element:
    failures = sum(case.find("failure") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    suite = Element("testsuite", name=name, tests=str(len(cases)), failures=str(failures))
    # A test that broke has no verdict, so no row; pytest's own file has it.
    suite.set("errors", "0")
    suite.set("skipped", str(skipped))
    properties = {"mmflow.run_id": summary.run_id, "mmflow.checkpoint": summary.name}
    _add_properties(suite, properties.items())
    suite.extend(cases)
    return suite


def _mechanism(row: MechanismRow) -> Element:
    case = _case("mmflow.mechanisms", row.id, row.task)
    case.set("time", f"{row.seconds:.3f}")
    values = ((f"mmflow.{name}", getattr(row, name)) for name in fields_in("junit"))
    _add_properties(case, values)
    said = f"{row.verdict}: {row.reason or row.threshold}"
    if row.has_failed:
        SubElement(case, "failure", message=xml_text(said), type=row.outcome)
    elif row.outcome in _SKIPPED:
        SubElement(case, "skipped", message=xml_text(said))
    return case


def _compared(row: ComparedRow) -> Element:
    case = _case("mmflow.baseline", row.id, row.task)
    values = ((f"mmflow.{name}", value) for name, value in asdict(row).items())
    _add_properties(case, values)
    before, after, _, moved, _ = numbers_of(row)
    said = f"{row.verdict}: {row.reason or f'{before} to {after} {moved}'}"
    if row.verdict == CHANGED:
        SubElement(case, "failure", message=xml_text(said), type=CHANGED)
    elif row.verdict in {UNDECIDED, NOT_COMPARABLE}:
        SubElement(case, "skipped", message=xml_text(said))
    return case


def _refused(reason: str) -> Element:
    case = _case("mmflow.baseline", "experiment", "all")
    SubElement(case, "failure", message=xml_text(reason, 1000), type=NOT_COMPARABLE)
    return case


def _gate(summary: Summary) -> Element:
    case = _case("mmflow.gate", "gate", "all")
    if summary.gate is not None and not summary.gate.passed:
        SubElement(case, "failure", message=xml_text(summary.gate.line, 1000), type="gate")
    return case


def _case(suite: str, name: str, task: str) -> Element:
    return Element("testcase", classname=suite, name=xml_text(f"{name}[{task}]"))


def _add_properties(parent: Element, values: Iterable[tuple[str, object]]) -> None:
    kept = [(name, value) for name, value in values if value not in (None, "")]
    if kept:
        properties = SubElement(parent, "properties")
        for name, value in kept:
            SubElement(properties, "property", name=name, value=xml_text(value))
