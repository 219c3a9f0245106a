"""What frames, drawings and notebooks have in common: libraries that need not be installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from mmflow_bench.errors import MechanismError

if TYPE_CHECKING:
    from types import ModuleType

_STYLE = Markup(
    "<style>"
    ".mmflow{color:inherit;max-width:60rem}"
    ".mmflow svg.panel{width:100%;max-width:28rem;height:auto;display:block}"
    ".mmflow svg .grid{stroke:currentColor;opacity:.18}.mmflow svg .zero{stroke:currentColor;"
    "opacity:.55}.mmflow svg .tick,.mmflow svg .label{fill:currentColor;opacity:.75;"
    "font-size:10px}.mmflow svg .line{fill:none;stroke-width:2;stroke:#0080c6}"
    ".mmflow svg .symbol{fill:#0080c6}.mmflow svg .band{fill:#0080c6;fill-opacity:.2}"
    ".mmflow .scroll{overflow-x:auto}.mmflow table{border-collapse:collapse;font-size:.9em}"
    ".mmflow th,.mmflow td{text-align:left;vertical-align:top;padding:3px 8px}"
    ".mmflow tbody tr{border-top:1px solid color-mix(in srgb,currentColor 18%,transparent)}"
    ".mmflow td:first-child{white-space:nowrap}"
    ".mmflow .number{text-align:right;white-space:nowrap}"
    "</style>"
)
"""Colours of the page that it is shown on, light or dark; one of its own, seen on both."""


def needed(package: str, extra: str, what: str) -> ModuleType:
    """A library that only some people need.

    Raises:
        ImportError: It is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{package.partition('.')[0]}, which {what} needs, got {error}; "
            f'pip install "mmflow-bench[{extra}]"'
        ) from error


def frame_of(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> Any:
    """A pandas DataFrame of rows; with its columns also where there is none.

    Raises:
        ImportError: pandas is not installed.
    """
    pandas = needed("pandas", "frames", "to_frame()")
    return pandas.DataFrame.from_records([dict(row) for row in rows], columns=list(columns))


def axes_or_new(axes: Any | None) -> Any:
    """Axes of matplotlib's to draw on.

    Raises:
        ImportError: matplotlib is not installed.
        MechanismError: What was given are no Axes.
    """
    if axes is None:
        # Of a figure of its own: pyplot would choose a backend, and keep it open.
        figure = needed("matplotlib.figure", "figures", "plot()").Figure
        return figure(figsize=(6.0, 3.6), layout="constrained").add_subplot()
    if not hasattr(axes, "fill_between"):
        raise MechanismError(f"Axes of matplotlib's to draw on, got {type(axes).__name__}")
    return axes


def page_part(*parts: Markup) -> str:
    """Something to be shown on a page that is not ours."""
    inside = Markup("").join(parts)
    return str(Markup('<div class="mmflow">{}{}</div>').format(_STYLE, inside))


def html_table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int) -> Markup:
    """A table of texts, of whose columns the last `numbers` are of numbers."""
    first = len(heads) - numbers
    cell = Markup('<{0} class="{1}">{2}</{0}>')

    def line(tag: str, cells: Sequence[str]) -> Markup:
        inside = (
            cell.format(tag, "number" if i >= first else "", text) for i, text in enumerate(cells)
        )
        return Markup("<tr>{}</tr>").format(Markup("").join(inside))

    body = Markup("").join(line("td", row) for row in rows)
    return Markup(
        '<div class="scroll"><table><thead>{}</thead><tbody>{}</tbody></table></div>'
    ).format(line("th", heads), body)
