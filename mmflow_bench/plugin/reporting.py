"""The reports of `--report`, written when a run has ended."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from mmflow_bench.errors import MMFlowError, StoreError
from mmflow_bench.plugin.against import FOLDER

if TYPE_CHECKING:
    from mmflow_bench.plugin.run import Run


def write_reports(run: Run) -> None:
    """Write every report that was asked for; one that cannot be written changes no outcome."""
    chosen = run.settings.reports
    for slug in run.settings.slugs if chosen else ():
        folder = run.folder(slug)
        if not (folder / "results.json").is_file():
            continue
        for name in chosen:
            try:
                _write(run, slug, folder, name)
            except (MMFlowError, OSError) as error:
                run.notice(f"--report={name} of {slug} was not written: {error}")


def _write(run: Run, slug: str, folder: Path, name: str) -> None:
    if name == "html":
        run.notice(f"report: {write_html(folder, baseline=_kept_elsewhere(run))}")
        return
    from mmflow_bench.reports.github import annotate
    from mmflow_bench.reports.junit import junit
    from mmflow_bench.reports.markdown import markdown
    from mmflow_bench.reports.summary import Summary
    from mmflow_bench.runs.folder import write_text

    rows = tuple(row for row in run.rows if row.model == slug)
    summary = Summary(
        name=str(run.facts.get(slug, {}).get("checkpoint", {}).get("name") or slug),
        rows=rows,
        comparison=run.comparisons.get(slug),
        gate=run.gate,
        run_id=run.run_id,
    )
    if name == "junit":
        write_text(folder / "junit.xml", junit(summary))
        run.notice(f"report: {folder / 'junit.xml'}")
        return
    if name == "md" or not (folder / "summary.md").exists():
        write_text(folder / "summary.md", markdown(summary))
        run.notice(f"report: {folder / 'summary.md'}")
    if name == "github":
        for line in annotate(summary):
            run.notice(line)


def _kept_elsewhere(run: Run) -> Path | None:
    """The folder of a baseline that was not measured for this run but kept before."""
    return run.against.source.folder if run.against is not None else None


def write_html(folder: Path, *, baseline: Path | None = None) -> Path:
    """Write report.html of a run folder.

    Args:
        folder: The run folder.
        baseline: Another one, whose curves are drawn behind; the one that was measured beside the
            run when None.

    Raises:
        StoreError: This installation has no HTML report.
    """
    try:
        html = importlib.import_module("mmflow_bench.reports.html")
        beside = folder / FOLDER
        if baseline is None and (beside / "results.json").is_file():
            baseline = beside
        written: Path = html.write_report(folder, baseline=baseline)
    except (ImportError, AttributeError) as error:
        raise StoreError(
            f"the HTML report, got {error}; install mmflow-bench with the extra [report]"
        ) from error
    return written
