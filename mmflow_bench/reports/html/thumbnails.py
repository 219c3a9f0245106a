"""Small pictures of the run's images, read again from where the run found them.

A run folder holds no images: they may be private, and large. A report made where they still are
shows them; elsewhere it goes without.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from pathlib import Path

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
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.tables import QuestionRow

SIDE = 320
"""Pixels of the longer side."""
MOST_BYTES = 6_000_000
"""Of all pictures of one page together."""
_QUALITY = 80


def thumbnails(record: RunRecord, rows: Iterable[QuestionRow]) -> dict[str, str]:
    """Image id -> data URI, for samples that are still found and still ask the same.

    They use up the space in the order of `rows`.
    """
    samples = _samples(record)
    pictures: dict[str, str] = {}
    left = MOST_BYTES
    for row in rows:
        sample = samples.get((row["task"], row["question_id"]))
        if row["image_id"] in pictures or not _is_same(sample, row):
            continue
        uri = _data_uri(sample)
        if uri is not None and len(uri) <= left:
            pictures[row["image_id"]] = uri
            left -= len(uri)
    return pictures


def _is_same(sample: Sample | None, row: QuestionRow) -> bool:
    """Whether the file still holds this question: another one of the same id has another image."""
    return sample is not None and (sample.question, sample.image_id) == (
        row["question"],
        row["image_id"],
    )


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
    source = image_source(images, cache=default_cache(), offline=True) if images else None
    return read_questions(Path(questions) if questions else SHIPPED[GQA], images=source).samples


def _data_uri(sample: Sample | None) -> str | None:
    if sample is None or sample.image is None:
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
