"""Reading question files: every row becomes a sample, or is counted with the reason why not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mmflow_bench.errors import ImageError, QuestionError, SampleError
from mmflow_bench.inputs.fields import checked_sample
from mmflow_bench.inputs.formats import Row, file_rows, published_rows
from mmflow_bench.inputs.image_sources import LARGEST_IMAGE, Folder, is_within
from mmflow_bench.inputs.images import missing_image
from mmflow_bench.inputs.published import Row as CsvRow
from mmflow_bench.inputs.question_sets import question_files, questions_fingerprint
from mmflow_bench.inputs.samples import (
    UNKNOWN_TASK,
    ImageFile,
    ImageSource,
    Sample,
    Unscored,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFile:
    """What a question file holds."""

    samples: tuple[Sample, ...]
    """Usable rows in file order; images are not yet opened."""
    unscored: tuple[Unscored, ...]
    """The other rows."""
    fingerprint: str
    """Hex sha256 of the file's bytes."""
    source: ImageSource | None = None
    """Where the images are; asked to fetch those of the samples that are chosen."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task of a row, usable or not, in file order."""
        tasks = [str(one.task) for one in self.samples] + [one.task for one in self.unscored]
        return tuple(task for task in dict.fromkeys(tasks) if task != UNKNOWN_TASK)


def read_questions(path: Path, *, images: Path | ImageSource | None = None) -> QuestionFile:
    """The samples of a question file, of all of a folder, or of all that match a pattern.

    Args:
        path: CSV or Parquet in the published layout, Parquet or JSON lines with the fields of the
            Sample record, or the published JSON of OKVQA and A-OKVQA.
        images: Folder of the images, or another source of them. Without it, samples of a published
            set have no image, and their captions stand in for it.

    Raises:
        QuestionError: The whole file is unusable: `missing-file`, `unknown-format`,
            `unreadable-file`, `missing-column` or `wrong-type`.
    """
    source = Folder(images) if isinstance(images, Path) else images
    files = question_files(path)
    fingerprint = questions_fingerprint(path)
    rows = ((row, file.parent) for file in files for row in file_rows(file))
    samples, unscored = _sorted_out(rows, source)
    return QuestionFile(
        samples=tuple(samples), unscored=tuple(unscored), fingerprint=fingerprint, source=source
    )


def published_samples(
    rows: Iterable[CsvRow], source: ImageSource | None
) -> tuple[list[Sample], list[Unscored]]:
    """Usable samples of rows of the published layout that are not in a file yet, and the rest."""
    here = Path()
    numbered = published_rows(enumerate(rows, start=1), here)
    return _sorted_out(((row, here) for row in numbered), source)


def _sorted_out(
    rows: Iterable[tuple[Row, Path]], source: ImageSource | None
) -> tuple[list[Sample], list[Unscored]]:
    samples: list[Sample] = []
    unscored: list[Unscored] = []
    seen: set[str] = set()
    for row, folder in rows:
        try:
            samples.append(_usable(row, folder, source, seen))
        except SampleError as error:
            unscored.append(Unscored(**row.known, reason=error.reason, message=str(error)))
    return samples, unscored


def _usable(row: Row, folder: Path, source: ImageSource | None, seen: set[str]) -> Sample:
    sample = row.read()
    # Measurements are kept by this id: two samples of one id would overwrite each other.
    if sample.question_id in seen:
        raise QuestionError(
            f"a question_id once per run, got {sample.question_id!r} again ({row.where}); rename "
            "or remove one",
            reason="duplicate-id",
        )
    seen.add(sample.question_id)
    return checked_sample(replace(sample, image=_image(sample, row, folder, source)))


def _image(sample: Sample, row: Row, folder: Path, source: ImageSource | None) -> ImageFile | None:
    # A path is relative to the images or, as its writer may have meant, to the question file.
    if row.image is not None:
        found = (source.at(row.image) if source else None) or Folder(folder).at(row.image)
        if found is None and not is_within(folder / row.image, folder):
            raise _outside(sample, row.image, source or folder)
    elif source is not None:
        names = row.image_names or (sample.image_id,)
        found = next((file for name in names if (file := source.find(name))), None)
    elif row.image_names:
        raise missing_image(sample.question_id, sample.image_id, "no --images given")
    else:
        return None
    if found is None:
        where = f"{source or folder}, {row.image or sample.image_id}"
        raise missing_image(sample.question_id, sample.image_id, where)
    if isinstance(found, Path) and found.is_file() and found.stat().st_size > LARGEST_IMAGE:
        raise ImageError(
            f"an image of at most {LARGEST_IMAGE} bytes, got {found.stat().st_size} (sample "
            f"{sample.question_id}, {found}); scale it down",
            reason="image-too-large",
        )
    return found


def _outside(sample: Sample, path: str, where: ImageSource | Path) -> ImageError:
    return ImageError(
        f"an image within the folder of --images or of the question file, got {path!r} (sample "
        f"{sample.question_id}, {where}); give a folder that holds it with --images",
        reason="image-outside",
    )
