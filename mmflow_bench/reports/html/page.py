"""From a run to one HTML file that needs nothing else: no request, no font, no server."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mmflow_bench.baselines.paired_records import VERDICTS as COMPARED
from mmflow_bench.mechanisms.numbers import PERCENT_UNITS, formatted
from mmflow_bench.mechanisms.paper import section_title
from mmflow_bench.reports import comparison_table as compared
from mmflow_bench.reports.html.figures import Figure, Panel, task_order
from mmflow_bench.reports.html.svg import panel_svg, sparkline, swatch
from mmflow_bench.reports.signs import SIGNS
from mmflow_bench.runs.rows import VERDICTS, MechanismRow

NAME_LENGTH = 120
"""Characters of a name in a heading; tables have it in full."""


@cache
def environment() -> Environment:
    """The templates: everything is escaped, and a name that is missing is an error."""
    made = Environment(
        loader=PackageLoader("mmflow_bench.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    number = partial(formatted, is_aligned=True)
    made.filters |= {"short": short, "number": number, "spark": sparkline}
    made.globals |= {
        "symbols": {verdict: sign.page for verdict, sign in SIGNS.items()},
        "verdicts": VERDICTS,
        "percent_units": PERCENT_UNITS,
        "panel_svg": panel_svg,
        "swatch": swatch,
        "compared": compared,
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
            style=Markup(asset("style.css")),
            scripts=[Markup(source) for source in sources],
            **values,
        )
    )
    # Lone surrogates cannot be written, and a browser drops NUL; names may have both.
    return page.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


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


def short(text: object, length: int = NAME_LENGTH) -> str:
    """A text of at most so many characters; what is cut off leaves a mark.

    >>> short("abcdef", 4)
    'abc…'
    """
    words = str(text)
    return words if len(words) <= length else words[: length - 1] + "…"


@dataclass(frozen=True, slots=True)
class Tile:
    """A section as a grid of verdicts: a line for each mechanism, a cell for each task."""

    section: str
    tasks: list[str]
    lines: dict[str, dict[str, tuple[int, MechanismRow]]]
    """Mechanism -> task -> the row, and its number in the table of all."""
    counts: dict[str, int]


def glance(rows: Sequence[MechanismRow]) -> Iterator[Tile]:
    """The sections of a run, at a glance."""
    for section, of_section in groupby(enumerate(rows), lambda pair: pair[1].section):
        members = list(of_section)
        tasks = sorted({row.task for _, row in members}, key=task_order)
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
