"""A trace as a file: a page, an SVG image or a PNG image, by what its name ends in."""

from __future__ import annotations

import io
from pathlib import Path

from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing, replace_file
from mmflow_bench.names import one_of
from mmflow_bench.reports.html.page import rendered
from mmflow_bench.tracing.bitmap import trace_image
from mmflow_bench.tracing.drawing import data_uri, figures, overlay
from mmflow_bench.tracing.picture import trace_svg
from mmflow_bench.tracing.record import CAUTION, Trace
from mmflow_bench.tracing.words import answered, lacks, of_blocks

SUFFIXES = (".html", ".svg", ".png")
"""What a trace can be saved as."""


def save_trace(trace: Trace, path: Path) -> Path:
    """Write a trace to a file.

    Raises:
        MechanismError: The name ends in none of `SUFFIXES`.
        StoreError: It cannot be written.
    """
    suffix = one_of(path.suffix.lower(), SUFFIXES, "a file whose name ends in one of")
    content: str | bytes
    if suffix == ".png":
        buffer = io.BytesIO()
        trace_image(trace).save(buffer, "PNG")
        content = buffer.getvalue()
    else:
        content = trace_page(trace) if suffix == ".html" else trace_svg(trace)
    with refusing(StoreError, "a file that can be written", path, "choose another place"):
        replace_file(path, content)
    return path


def trace_page(trace: Trace) -> str:
    """The trace as a page that needs nothing else."""
    return rendered(
        "trace.html.j2",
        trace=trace,
        answered=answered(trace),
        said=of_blocks(trace),
        lacks=list(lacks(trace)),
        caution=CAUTION,
        figures=figures(trace),
        picture=data_uri(trace.photo) if trace.photo is not None else None,
        overlay=overlay(trace),
    )
