"""`report.html` of a run folder."""

from __future__ import annotations

from importlib import resources, util
from pathlib import Path

from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing, replace_file
from mmflow_bench.reports.html.page import asset, data_json, figure_data, glance, rendered
from mmflow_bench.reports.html.paper_figures import figures_of
from mmflow_bench.reports.html.samples import shown_samples
from mmflow_bench.reports.summary import summary_of
from mmflow_bench.runs.reading import RunRecord, read_run

REPORT = "report.html"


def write_report(folder: Path, *, baseline: Path | None = None) -> Path:
    """Write the report of a run beside its results, with a baseline's curves drawn behind.

    Raises:
        StoreError: A folder is no run folder, is damaged, or cannot be written.
    """
    record = read_run(folder)
    page = report_page(record, baseline=read_run(baseline) if baseline else None)
    path = record.folder / REPORT
    advice = "copy the folder to where you may write"
    with refusing(StoreError, "a run folder that can be written", path, advice):
        replace_file(path, page)
    return path


def report_page(record: RunRecord, *, baseline: RunRecord | None = None) -> str:
    """The report of a run as one HTML document."""
    figures = figures_of(record, baseline)
    panels = [(panel, figure) for figure in figures for panel in figure.panels]
    plotly = plotly_source()
    return rendered(
        "report.html.j2",
        scripts=[*([plotly] if plotly else []), asset("tables.js"), asset("report.js")],
        record=record,
        summary=summary_of(record),
        sections=glance(record.rows),
        figures=figures,
        samples=shown_samples(record),
        baseline=baseline,
        is_overlaid=any(one.is_baseline for panel, _ in panels for one in panel.series),
        panel_data=data_json(figure_data(panels)) if plotly else None,
        facts=_facts(record),
    )


def plotly_source() -> str | None:
    """The script of plotly where it is installed (`mmflow-bench[report]`)."""
    if util.find_spec("plotly") is None:
        return None
    source = resources.files("plotly") / "package_data" / "plotly.min.js"
    return source.read_text("utf-8") if source.is_file() else None


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    """What a reader must know to repeat the run: a name and a value each."""
    results = record.results
    checkpoint, data = results.checkpoint, results.data
    facts: dict[str, object] = {
        "checkpoint": checkpoint.name,
        "source": checkpoint.source,
        "revision": checkpoint.revision,
        "fingerprint": checkpoint.fingerprint,
        "family": checkpoint.family,
        "decoder layers": checkpoint.decoder_layers,
        "dtype": checkpoint.dtype,
        "samples": data.name,
        "samples' fingerprint": data.fingerprint,
        "noise floor": results.noise_floor,
        "run": results.run_id,
        "created": results.created,
        **{name: value for name, value in results.settings.items() if value not in (None, [], {})},
        **{name: value for name, value in results.environment.items() if name != "executable"},
    }
    return [(name, _words(value)) for name, value in facts.items() if value not in (None, "")]


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items())
    return ", ".join(map(_words, value)) if isinstance(value, list) else str(value)
