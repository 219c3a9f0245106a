"""The reports of `--report`, written when a run has ended."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

from mmflow_bench.errors import MMFlowError
from mmflow_bench.plugin.paired import FOLDER
from mmflow_bench.plugin.run import Run
from mmflow_bench.reports.github import annotate, markdown
from mmflow_bench.reports.glance.flow import Glance, glance_of
from mmflow_bench.reports.glance.writing import PICTURE, write_glance
from mmflow_bench.reports.html.page import write_report
from mmflow_bench.reports.junit import junit
from mmflow_bench.reports.summary import Summary
from mmflow_bench.runs.folder import has_results, write_text
from mmflow_bench.runs.reading import read_run
from mmflow_bench.runs.rows import incomplete_line


def write_reports(run: Run) -> None:
    """Write every report that was asked for; one that cannot be written changes no outcome."""
    written = [slug for slug in run.settings.slugs if has_results(run.folder(slug))]
    for slug, name in product(written, run.settings.reports):
        with run.noticing(f"--report={name} of {slug} was not written", of=(MMFlowError, OSError)):
            _write(run, slug, run.folder(slug), name)


def _write(run: Run, slug: str, folder: Path, name: str) -> None:
    # A baseline that was measured for this run lies in its folder; another was kept elsewhere.
    kept = run.paired.source.folder if run.paired is not None else None
    if name == "html":
        run.notice(f"report: {write_html(folder, baseline=kept)}")
        return
    summary = Summary(
        name=str(run.facts.get(slug, {}).get("checkpoint", {}).get("name") or slug),
        rows=tuple(row for row in run.rows if row.model == slug),
        comparison=run.comparisons.get(slug),
        gate=run.gate,
        run_id=run.identity.run_id,
        tasks=run.facts.get(slug, {}).get("tasks", {}),
        incomplete=incomplete_line(not run.unfinished, run.unfinished),
    )
    if name == "junit":
        write_text(folder / "junit.xml", junit(summary))
        run.notice(f"report: {folder / 'junit.xml'}")
        return
    summary = replace(summary, glances=tuple(glances_of(folder, baseline=kept)))
    file = folder / "summary.md"
    # Annotations come with the summary, which --report=md may have written already.
    if name != "github" or not file.exists():
        write_text(file, markdown(summary))
        run.notice(f"report: {file}")
        # Beside it, for a comment cannot show a file of the run folder.
        run.notice(f"report: {write_glance(folder / PICTURE, summary.glances)}")
    if name == "github":
        for line in annotate(summary):
            run.notice(line)


def write_html(folder: Path, *, baseline: Path | None = None, has_pictures: bool = True) -> Path:
    """Write report.html of a run folder.

    Args:
        folder: The run folder.
        baseline: Another one, whose curves are drawn behind; the one that was measured beside the
            run when None.
        has_pictures: Whether images are read from where the run says that they are.

    Raises:
        StoreError: A folder is no run folder, is damaged, or cannot be written.
    """
    return write_report(
        folder, baseline=baseline or measured_beside(folder), has_pictures=has_pictures
    )


def glances_of(folder: Path, *, baseline: Path | None = None) -> list[Glance]:
    """A run at a glance, after what it was compared with where there is such a run.

    Args:
        folder: The run folder.
        baseline: Another one; that which was measured beside the run when None.

    Raises:
        StoreError: A folder is no run folder, or is damaged.
    """
    before = baseline or measured_beside(folder)
    return [glance_of(read_run(one)) for one in (before, folder) if one is not None]


def measured_beside(folder: Path) -> Path | None:
    """The run of a baseline that was measured for a run, and lies in its folder."""
    beside = folder / FOLDER
    return beside if has_results(beside) else None
