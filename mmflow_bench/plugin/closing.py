"""The end of a run: run folders and closing tables."""

from __future__ import annotations

import pytest

from mmflow_bench.baselines.paired_records import FILE
from mmflow_bench.plugin.ending import unopened
from mmflow_bench.plugin.gating import could_have_seen
from mmflow_bench.plugin.judging import is_told_by_table
from mmflow_bench.plugin.keeping import write_facts
from mmflow_bench.plugin.paired import compared_run
from mmflow_bench.plugin.run import Run
from mmflow_bench.reports.comparison_table import render_comparison
from mmflow_bench.reports.escaping import encodable, printable
from mmflow_bench.reports.progress import stopped
from mmflow_bench.reports.terminal import render
from mmflow_bench.runs.folder import RESULTS, has_results, keep_out_of_git, write_text
from mmflow_bench.runs.judged import ordered


def write_runs(run: Run) -> None:
    """Write a run folder for each checkpoint; a full disk leaves the tests' verdicts alone."""
    run.rows = ordered(run.rows)
    for slug in run.settings.slugs:
        rows = [row for row in run.rows if row.model == slug]
        errors = [crash for crash in run.crashes if crash["model"] == slug]
        if not rows and not errors:
            continue
        folder = run.folder(slug)
        facts = run.facts.get(slug) or unopened(run, slug)
        with run.noticing(f"results of {slug} were not kept"):
            write_facts(run, folder, rows, facts, errors)
            if run.settings.output is None:
                keep_out_of_git(run.own_folder)
        if has_results(folder):
            run.notice(f"results: {folder / RESULTS}")
        if comparison := compared_run(run, slug, folder):
            run.comparisons[slug] = comparison
            with run.noticing("the comparison was not kept"):
                write_text(folder / FILE, comparison.as_json())


def show_tables(run: Run, terminal: pytest.TerminalReporter) -> None:
    """Print the verdicts, and how they compare with the baseline."""
    writer = terminal._tw
    width, colour = writer.fullwidth, bool(writer.hasmarkup)
    encoding = getattr(writer._file, "encoding", None)
    if run.rows:
        terminal.write_sep("=", "mmflow: information flow")
        text = render(run.rows, facts=run.facts, width=width, colour=colour)
        terminal.write(encodable(text, encoding))
    for comparison in run.comparisons.values():
        terminal.write_sep("=", "mmflow: against the baseline")
        shown = render_comparison(comparison, width=width, colour=colour)
        terminal.write(encodable(shown, encoding))


def summarize(run: Run, terminal: pytest.TerminalReporter) -> None:
    """Print everything that must be said once, and the gate."""
    if run.refusal:
        # As pytest says a usage error of a run without workers.
        terminal.write_line(printable(f"ERROR: {run.refusal}"), red=True)
    if failed := sum(r.outcome == "failed" and is_told_by_table(run.config, r) for r in run.rows):
        terminal.write_line(f"{failed} failed by what the table says; --tb=short shows the lines")
    if run.is_interrupted:
        terminal.write_line(printable(stopped(run.settings.measurement.cache)), yellow=True)
    crashes = dict.fromkeys(f"no verdict: {crash['message']}" for crash in run.crashes)
    for line in [*_baseline_lines(run), *crashes]:
        terminal.write_line(printable(line))
    for line in run.notices:
        # Annotations are commands, and harmless already.
        terminal.write_line(line if line.startswith("::") else printable(line))
    if run.deselected and not run.selected:
        terminal.write_line(
            f"mmflow: --mechanisms and --tasks left none of {run.deselected} tests; "
            "`mmflow ls mechanisms` lists the ids",
            yellow=True,
        )
    if run.gate is not None:
        line = printable(f"gate ({run.settings.gate}): {run.gate.line}")
        terminal.write_line(line, bold=True, **{"green" if run.gate.passed else "red": True})
        for line in could_have_seen(run):
            terminal.write_line(printable(f"gate ({run.settings.gate}): {line}"))


def _baseline_lines(run: Run) -> list[str]:
    lines = []
    for slug in run.settings.slugs:
        states = [row.baseline for row in run.rows if row.model == slug]
        # What was compared sample by sample needs no stored verdicts beside it.
        if (new := states.count("new")) and slug not in run.comparisons:
            lines.append(
                f"baseline: none for {new} of {len(states)} mechanisms of {slug}; not compared "
                "(--snapshot-update writes them)"
            )
        if other := states.count("other-conditions"):
            lines.append(
                f"baseline: {other} of {slug} were made with other samples or another window; not "
                "compared"
            )
    return lines
