"""The samples that a report shows: what was asked, answered and seen, and their own curves.

A run folder holds no images: they may be private, and large. A report made where they still are
shows small pictures, read again from where the run found them; elsewhere it goes without.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import MMFlowError
from mmflow_bench.inputs.image_sources import image_source
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.question_sets import GQA, SHIPPED
from mmflow_bench.inputs.questions import read_questions
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.asking import asked_questions
from mmflow_bench.measurements.settings import default_cache
from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task
from mmflow_bench.reports.html.paper_figures import CHANGE, MASKED, main_width, shown_edge
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.records import Patches, QuestionRow
from mmflow_bench.runs.rows import Item
from mmflow_bench.store.address import local_folder

PER_TASK = 14
"""Samples shown of each task, spread evenly over its file."""
MOST_EDGES = 8
SIDE = 320
"""Pixels of the longer side of a picture."""
MOST_BYTES = 6_000_000
"""Of all pictures of one page together."""
_QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """One sample as the browser shows it."""

    row: QuestionRow
    picture: str | None
    """A data URI."""
    overlay: Markup
    """Boxes and related patches, in the shape of the picture."""
    figure: Figure | None
    """The sample's own curves, in one panel."""


def shown_samples(record: RunRecord, *, has_pictures: bool = True) -> list[ShownSample]:
    """Samples of every task, with pictures where they are wanted and still found."""
    asked = by_task(record.questions, lambda row: row["task"])
    rows = [row for of_task in asked.values() for row in spread(of_task)]
    pictures = thumbnails(record, rows) if has_pictures else {}
    width = main_width(record)
    cut = [one for one in record.sweeps if (one.method, one.window) == (MASKED, width)]
    places = [(one, {q: i for i, q in enumerate(one.question_ids)}) for one in cut]
    return [
        ShownSample(
            row=row,
            picture=pictures.get(row["image_id"]),
            overlay=overlay(row),
            figure=_own_figure(
                row,
                {
                    one.edge: one.values[place[row["question_id"]]].tolist()
                    for one, place in places
                    if one.task == row["task"] and row["question_id"] in place
                },
            ),
        )
        for row in rows
    ]


def spread(rows: Sequence[Item], most: int = PER_TASK) -> list[Item]:
    """At most so many rows, evenly over all of them.

    >>> spread(range(9), most=3)
    [0, 3, 6]
    """
    if len(rows) <= most:
        return list(rows)
    return [rows[i * len(rows) // most] for i in range(most)]


def overlay(row: QuestionRow) -> Markup:
    """Boxes of the objects and the patches that overlap them, in shares of the picture."""
    grid = row["patches"]
    width = row["image_width"] or (grid["width"] if grid else None)
    height = row["image_height"] or (grid["height"] if grid else None)
    if not width or not height:
        return Markup("")
    patches = [_patch(cell, grid) for cell in grid["related"]] if grid else []
    boxes = [
        _rectangle("box", x / width, y / height, w / width, h / height)
        for x, y, w, h in row["boxes"] or ()
    ]
    return Markup("").join([*patches, *boxes])


def _patch(cell: int, grid: Patches) -> Markup:
    row, column = divmod(cell, grid["columns"])
    return _rectangle(
        "patch",
        (grid["left"] + column * grid["cell_width"]) / grid["width"],
        (grid["top"] + row * grid["cell_height"]) / grid["height"],
        grid["cell_width"] / grid["width"],
        grid["cell_height"] / grid["height"],
    )


def _rectangle(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    numbers = [f"{100 * value:.2f}" for value in (x, y, width, height)]
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(kind, *numbers)


def _own_figure(row: QuestionRow, curves: Mapping[str, list[float]]) -> Figure | None:
    """The curves of one sample, by edge."""
    strongest = sorted(curves, key=lambda edge: (min(curves[edge]), edge))
    series = tuple(
        Series(
            name=shown_edge(edge),
            values=tuple(round(value, 6) for value in curves[edge]),
            style=style,
            samples=1,
        )
        for style, edge in enumerate(strongest[:MOST_EDGES])
    )
    if not series:
        return None
    panel = Panel(title=f"sample {row['question_id']}", series=series)
    return Figure(id="", title="", caption="", y_label=CHANGE, panels=(panel,))


def thumbnails(record: RunRecord, rows: Iterable[QuestionRow]) -> dict[str, str]:
    """Image id -> data URI, for samples that are still found and still ask the same.

    They use up the space in the order of `rows`.
    """
    samples = _samples(record)
    pictures: dict[str, str] = {}
    left = MOST_BYTES
    for row in rows:
        sample, image_id = samples.get((row["task"], row["question_id"])), row["image_id"]
        # A file may have changed since: another question of the same id has another image.
        known = sample and (sample.question, sample.image_id)
        if sample is None or image_id in pictures or known != (row["question"], image_id):
            continue
        uri = _data_uri(sample)
        if uri is not None and len(uri) <= left:
            pictures[image_id] = uri
            left -= len(uri)
    return pictures


def _samples(record: RunRecord) -> dict[tuple[str, str], Sample]:
    """The samples of the run's questions by task and id; none where they are not found."""
    # A report is made wherever the folder is; that the images are elsewhere is no error.
    try:
        samples = _read(record)
    except (MMFlowError, OSError):
        return {}
    return {(sample.task, sample.question_id): sample for sample in samples}


def _read(record: RunRecord) -> tuple[Sample, ...]:
    settings = record.results.settings
    questions, images = settings.get("questions"), settings.get("images")
    if not questions and not images:
        return asked_questions(resolve_checkpoint(record.name, offline=True)).samples
    cache = local_folder(default_cache())
    source = image_source(images, cache=cache, offline=True) if images else None
    return read_questions(Path(questions) if questions else SHIPPED[GQA], images=source).samples


def _data_uri(sample: Sample) -> str | None:
    if sample.image is None:
        return None
    try:
        image = open_image(sample)
    except MMFlowError:
        return None
    image.thumbnail((SIDE, SIDE))
    kind, content = _smallest(image)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _smallest(image: Image.Image) -> tuple[str, bytes]:
    """Drawings are smaller as PNG, photos as JPEG."""
    encoded = {}
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": _QUALITY})):
        buffer = io.BytesIO()
        image.save(buffer, kind.upper(), **options)
        encoded[kind] = buffer.getvalue()
    return min(encoded.items(), key=lambda pair: (len(pair[1]), pair[0]))
