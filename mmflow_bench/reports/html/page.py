"""`report.html`, a run as one file that needs nothing else: no request, no font, no server."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources, util
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mmflow_bench.baselines.paired_records import VERDICTS as COMPARED
from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing, replace_file
from mmflow_bench.mechanisms.declared import in_order
from mmflow_bench.mechanisms.numbers import PERCENT_UNITS, formatted
from mmflow_bench.mechanisms.paper import section_title
from mmflow_bench.reports import comparison_table as compared
from mmflow_bench.reports.blind import CELLS, blind_cells, blind_lines
from mmflow_bench.reports.escaping import CONTROLS
from mmflow_bench.reports.glance.drawing import glance_svg
from mmflow_bench.reports.glance.flow import glance_of
from mmflow_bench.reports.glance.geometry import NARROW, WIDE
from mmflow_bench.reports.glance.words import PLACES, conditions, sentence
from mmflow_bench.reports.html.figures import Figure, Panel
from mmflow_bench.reports.html.paper_figures import figures_of
from mmflow_bench.reports.html.samples import shown_samples
from mmflow_bench.reports.html.svg import panel_svg, sparkline, swatch
from mmflow_bench.reports.signs import SIGNS
from mmflow_bench.reports.summary import summary_of
from mmflow_bench.runs.reading import RunRecord, read_run
from mmflow_bench.runs.rows import VERDICTS, MechanismRow

REPORT = "report.html"
STYLES = ("colours.css", "style.css", "curves.css", "glance.css", "trace.css")


def write_report(folder: Path, *, baseline: Path | None = None, has_pictures: bool = True) -> Path:
    """Write the report of a run beside its results, with a baseline's curves drawn behind.

    Args:
        folder: The run folder.
        baseline: Another one.
        has_pictures: Whether images are read from where the run says that they are: of a run of
            somebody else's that may be any folder of this machine.

    Raises:
        StoreError: A folder is no run folder, is damaged, or cannot be written.
    """
    record = read_run(folder)
    behind = read_run(baseline) if baseline else None
    page = report_page(record, baseline=behind, has_pictures=has_pictures)
    path = record.folder / REPORT
    advice = "copy the folder to where you may write"
    with refusing(StoreError, "a run folder that can be written", path, advice):
        replace_file(path, page)
    return path


def report_page(
    record: RunRecord, *, baseline: RunRecord | None = None, has_pictures: bool = True
) -> str:
    figures = figures_of(record, baseline)
    panels = [(panel, figure) for figure in figures for panel in figure.panels]
    plotly = plotly_source()
    # What was measured before stands before it.
    glances = [glance_of(one) for one in (baseline, record) if one is not None]
    return rendered(
        "report.html.j2",
        scripts=[*([plotly] if plotly else []), asset("tables.js"), asset("report.js")],
        record=record,
        summary=summary_of(record),
        sections=tiles(record.rows),
        glances=glances,
        figures=figures,
        samples=shown_samples(record, has_pictures=has_pictures),
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


@cache
def environment() -> Environment:
    """The templates: everything is escaped, and a name that is missing is an error."""
    made = Environment(
        loader=PackageLoader("mmflow_bench.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        # Of what is escaped, too, a page has no sign that moves a terminal's cursor.
        finalize=_without_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A name in a heading is cut to its length exactly; tables have it in full.
    made.policies["truncate.leeway"] = 0
    number = partial(formatted, is_aligned=True)
    made.filters |= {"number": number, "spark": sparkline}
    made.globals |= {
        "symbols": {verdict: sign.page for verdict, sign in SIGNS.items()},
        "verdicts": VERDICTS,
        "percent_units": PERCENT_UNITS,
        "panel_svg": panel_svg,
        "swatch": swatch,
        "glance_svg": glance_svg,
        "glance_sheets": {"wide": WIDE, "narrow": NARROW},
        "glance_said": sentence,
        "glance_conditions": conditions,
        "glance_places": PLACES,
        "compared": compared,
        "blind_heads": tuple(CELLS.values()),
        "blind_cells": blind_cells,
        "blind_lines": blind_lines,
        "compared_verdicts": COMPARED,
    }
    return made


def rendered(template: str, *, scripts: Sequence[str] = (), **values: object) -> str:
    """A page with its style and its scripts inside, and a policy that lets nothing else run."""
    sources = [ready_for_html(script) for script in scripts]
    policy = {
        "default-src": "'none'",
        "img-src": "data:",
        # plotly writes its own style element.
        "style-src": "'unsafe-inline'",
        "script-src": " ".join(map(_source_hash, sources)) or "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    page = (
        environment()
        .get_template(template)
        .render(
            policy="; ".join(f"{name} {value}" for name, value in policy.items()),
            style=Markup("".join(map(asset, STYLES))),
            scripts=list(map(_Script, sources)),
            **values,
        )
    )
    # Lone surrogates cannot be written; names may have them.
    return page.encode("utf-8", "replace").decode()


class _Script(Markup):
    """A script that ships with a package: every sign of it belongs there, and its hash counts."""


def _without_controls(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, _Script):
        return value.translate(CONTROLS)
    return value


def asset(name: str) -> str:
    return (resources.files("mmflow_bench.reports.html") / "templates" / name).read_text("utf-8")


def ready_for_html(script: str) -> str:
    """A script that cannot end its own element, nor be misread as the start of a comment."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def data_json(value: object) -> Markup:
    """JSON for a data element: nothing in it is markup, whatever the strings hold."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def figure_data(panels: Iterable[tuple[Panel, Figure]]) -> list[dict[str, object]]:
    """What the page's script needs to draw panels with plotly."""
    return [
        {
            "title": panel.title,
            "x": figure.x_label,
            "y": figure.y_label,
            "first": figure.first,
            "series": [
                {
                    "name": series.name,
                    "values": _nulls(series.values),
                    "low": _nulls(series.low),
                    "high": _nulls(series.high),
                    "style": series.style,
                    "samples": series.samples,
                    "behind": series.is_baseline,
                }
                for series in panel.series
            ],
        }
        for panel, figure in panels
    ]


@dataclass(frozen=True, slots=True)
class Tile:
    """A section as a grid of verdicts: a line for each mechanism, a cell for each task."""

    section: str
    tasks: tuple[str, ...]
    lines: dict[str, dict[str, tuple[int, MechanismRow]]]
    """Mechanism -> task -> the row, and its number in the table of all."""
    counts: dict[str, int]


def tiles(rows: Sequence[MechanismRow]) -> Iterator[Tile]:
    for section, of_section in groupby(enumerate(rows), lambda pair: pair[1].section):
        members = list(of_section)
        tasks = in_order({row.task for _, row in members})
        lines: dict[str, dict[str, tuple[int, MechanismRow]]] = {}
        for number, row in members:
            lines.setdefault(row.id, {}).setdefault(row.task, (number, row))
        counts = {v: sum(row.verdict == v for _, row in members) for v in VERDICTS}
        yield Tile(section_title(section), tasks, lines, counts)


def _source_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _nulls(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
