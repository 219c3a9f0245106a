"""Reading question files: every row becomes a sample, or is counted with the reason why not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from mmflow_bench.errors import QuestionError, SampleError
from mmflow_bench.inputs.fields import checked_sample
from mmflow_bench.inputs.images import find_image, missing_image
from mmflow_bench.inputs.json_lines import json_rows, json_sample
from mmflow_bench.inputs.published import csv_rows, csv_sample, csv_task
from mmflow_bench.inputs.samples import Sample, Unscored

_JSON_LINES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFile:
    """What a question file holds."""

    samples: tuple[Sample, ...]
    """Usable rows in file order; images are paths, not yet opened."""
    unscored: tuple[Unscored, ...]
    """The other rows."""
    fingerprint: str
    """Hex sha256 of the file's bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One row, before and after it is understood."""

    where: str
    known: dict[str, str]
    """What is known of a row that is refused: its id, image and task."""
    read: Callable[[], Sample]
    image: str | None
    """Path that the row itself gives to its image."""


def read_questions(path: Path, *, images: Path | None = None) -> QuestionFile:
    """The samples of a CSV file in the published layout, or of JSON lines.

    Args:
        path: `.csv`, `.jsonl`, `.ndjson` or `.json`.
        images: Folder of the images. Without it, samples of a CSV file have no image, and their
            captions stand in for it.

    Raises:
        QuestionError: The whole file is unusable: `missing-file`, `unknown-format`,
            `unreadable-file` or `missing-column`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise QuestionError(
            f"a question file, got {error.strerror or error} ({path}); check --questions",
            reason="missing-file",
        ) from error
    samples: list[Sample] = []
    unscored: list[Unscored] = []
    seen: set[str] = set()
    for row in _rows(path):
        try:
            sample = _usable(row, path, images, seen)
        except SampleError as error:
            unscored.append(Unscored(**row.known, reason=error.reason, message=str(error)))
        else:
            samples.append(sample)
    return QuestionFile(
        samples=tuple(samples),
        unscored=tuple(unscored),
        fingerprint=hashlib.sha256(content).hexdigest(),
    )


def _rows(path: Path) -> Iterator[_Row]:
    if path.suffix.lower() == ".csv":
        return _csv(path)
    if path.suffix.lower() in _JSON_LINES:
        return _json(path)
    raise QuestionError(
        f"a .csv file or JSON lines ({', '.join(_JSON_LINES)}), got {path.name!r}; rename or "
        "convert it",
        reason="unknown-format",
    )


def _csv(path: Path) -> Iterator[_Row]:
    for line, row in csv_rows(path):
        yield _Row(
            where=f"{path}:{line}",
            known={
                "question_id": (row.get("question_id") or "").strip() or f"line {line}",
                "image_id": (row.get("img_id") or "").strip(),
                "task": csv_task(row, path),
            },
            read=lambda row=row: csv_sample(row, path),  # type: ignore[misc]
            image=None,
        )


def _json(path: Path) -> Iterator[_Row]:
    for line, value in json_rows(path):
        where = f"{path}:{line}"
        given: dict[str, Any] = value if isinstance(value, dict) else {}
        image = given.get("image")
        yield _Row(
            where=where,
            known={
                "question_id": str(given.get("question_id") or f"line {line}"),
                "image_id": str(given.get("image_id") or ""),
                "task": str(given.get("task") or "unknown"),
            },
            read=lambda value=value, where=where: json_sample(value, where),  # type: ignore[misc]
            image=image if isinstance(image, str) else None,
        )


def _usable(row: _Row, path: Path, images: Path | None, seen: set[str]) -> Sample:
    sample = row.read()
    if sample.question_id in seen:
        raise QuestionError(
            f"a question_id once per file, got {sample.question_id!r} again ({row.where}); rename "
            "or remove one",
            reason="duplicate-id",
        )
    seen.add(sample.question_id)
    return checked_sample(replace(sample, image=_image(sample, row, path, images)))


def _image(sample: Sample, row: _Row, path: Path, images: Path | None) -> Path | None:
    if row.image is not None:
        folders = [images, path.parent] if images is not None else [path.parent]
        tried = [folder / row.image for folder in folders]
        found = next((file for file in tried if file.is_file()), None)
        if found is None:
            raise missing_image(sample.question_id, sample.image_id, tried[0])
        return found
    if images is None:
        return None
    found = find_image(images, sample.image_id)
    if found is None:
        raise missing_image(sample.question_id, sample.image_id, images / sample.image_id)
    return found


def sample_fingerprint(sample: Sample) -> str:
    """Hex sha256 of all that a sample says: texts, boxes and the content of its image.

    The place and name of the image file do not count; an image that cannot be read counts as none.
    """
    digest = hashlib.sha256()
    boxes = [(box.x, box.y, box.width, box.height) for box in sample.boxes]
    said = {
        name: getattr(sample, name)
        for name in Sample.__slots__
        if name not in ("image", "boxes", "object_names")
    }
    said |= {"boxes": boxes, "object_names": list(sample.object_names)}
    digest.update(json.dumps(said, sort_keys=True, ensure_ascii=True).encode())
    digest.update(_image_content(sample.image))
    return digest.hexdigest()


def _image_content(image: Image.Image | Path | None) -> bytes:
    if image is None:
        return b""
    if isinstance(image, Image.Image):
        return f"{image.mode} {image.size}".encode() + image.tobytes()
    try:
        return image.read_bytes()
    except OSError:
        return b"unreadable"
