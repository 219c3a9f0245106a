"""Images streamed from a data set on the hub, each kept on disk under its id once fetched."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.errors import QuestionError
from mmflow_bench.files import replace_file
from mmflow_bench.inputs.samples import ImageSource

HUB = "hub"
DEFAULT_DATA_SET = "lmms-lab/GQA"
DEFAULT_CONFIGURATIONS = ("val_balanced_images", "val_all_images")
"""Validation images, the smaller part first; all of the paper's questions ask about them."""

_ID_COLUMNS = ("id", "image_id", "img_id", "imageId")
# Ids become names of files, and question files come from anywhere.
_SAFE_ID = re.compile(r"[\w-][\w.-]{0,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubImages(ImageSource):
    """The images of a data set that `datasets` can stream."""

    data_set: str
    """A hub id, or a folder that `datasets` reads."""
    configurations: tuple[str, ...]
    """Searched in this order; the data set's default when empty."""
    folder: Path
    """Where fetched images are kept."""
    offline: bool
    """Use what was fetched before and ask nobody."""

    @classmethod
    def parse(cls, text: str, *, cache: Path, offline: bool) -> HubImages:
        """The images that `hub`, `hub:NAME` or `hub:NAME:CONFIG,CONFIG` stands for.

        >>> HubImages.parse("hub", cache=Path("c"), offline=False).data_set
        'lmms-lab/GQA'

        Raises:
            QuestionError: The text is none of these (`no-images`).
        """
        _, _, named = text.partition(":")
        data_set, _, configurations = named.partition(":")
        if ":" in configurations or (":" in text and not data_set):
            raise QuestionError(
                f"hub, hub:OWNER/NAME or hub:OWNER/NAME:CONFIG, got {text!r}; check --images",
                reason="no-images",
            )
        data_set = data_set or DEFAULT_DATA_SET
        chosen = tuple(name.strip() for name in configurations.split(",") if name.strip())
        if data_set == DEFAULT_DATA_SET:
            chosen = chosen or DEFAULT_CONFIGURATIONS
        place = re.sub(r"[^\w.-]+", "--", data_set).strip("-")
        return cls(
            data_set=data_set,
            configurations=chosen,
            folder=cache / "images" / place,
            offline=offline,
        )

    def find(self, image_id: str) -> Path | None:
        """Where the image of an id lies, or will lie once fetched."""
        return self._file(image_id) if _SAFE_ID.fullmatch(image_id) else None

    def prepare(self, image_ids: Collection[str]) -> None:
        """Stream the data set until every image is on disk, or its end is reached.

        What it does not hold stays away, and its samples are counted as `missing-image`.

        Raises:
            QuestionError: The data set cannot be reached or read, or has no ids (`no-images`).
        """
        is_reachable = not self.offline or Path(self.data_set).exists()
        if not self._missing(image_ids) or not is_reachable:
            return
        with ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                # Several workers want the same images: one fetches, the others find them on disk.
                held.enter_context(FileLock(self.folder / "fetch.lock"))
            except OSError as error:
                where = f"a folder that images can be kept in ({self.folder})"
                raise self._refused(where, error) from error
            for configuration in self.configurations or (None,):
                missing = self._missing(image_ids)
                if missing:
                    self._fetch(configuration, missing)

    def _file(self, image_id: str) -> Path:
        return self.folder / f"{image_id}.jpg"

    def _missing(self, image_ids: Collection[str]) -> set[str]:
        safe = {image_id for image_id in image_ids if _SAFE_ID.fullmatch(image_id)}
        return {image_id for image_id in safe if not self._file(image_id).is_file()}

    def _fetch(self, configuration: str | None, missing: set[str]) -> None:
        from datasets.utils import tqdm

        # On a terminal only: None leaves log files without a line for every image.
        bar = tqdm(total=len(missing), desc=f"images of {self.data_set}", disable=None)
        try:
            for image_id, content in _streamed(self.data_set, configuration):
                if image_id in missing:
                    replace_file(self._file(image_id), content)
                    missing.remove(image_id)
                    bar.update()
                if not missing:
                    return
        except _failures() as error:
            raise self._refused("a data set of images with their ids", error) from error
        finally:
            bar.close()

    def _refused(self, expected: str, error: Exception) -> QuestionError:
        return QuestionError(
            f"{expected}, got {type(error).__name__}: {error} (--images=hub, {self.data_set}); "
            "check the name and the network, or give a folder or a zip file",
            reason="no-images",
        )

    def __str__(self) -> str:
        return f"{self.data_set} ({self.folder})"


def _failures() -> tuple[type[Exception], ...]:
    """What `datasets` and the libraries below it raise for a network or a file at fault."""
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError
    from pyarrow import ArrowException

    values = (OSError, ValueError, TypeError, KeyError, RuntimeError)
    # Its bases are the errors of the HTTP library, which has another name in every major version.
    return (*values, *HfHubHTTPError.__bases__, DatasetsError, ArrowException)


def _streamed(data_set: str, configuration: str | None) -> Iterator[tuple[str, bytes]]:
    """Ids and encoded images of every split."""
    # Imported here: it takes seconds, and most runs have their images on disk.
    from datasets import Image, load_dataset

    splits: Json = dict(load_dataset(data_set, configuration, streaming=True))
    for split in splits.values():
        for row in split.cast_column("image", Image(decode=False)):
            image = row["image"]
            content = image.get("bytes")
            yield _id_of(row), Path(image["path"]).read_bytes() if content is None else content


def _id_of(row: Json) -> str:
    for column in _ID_COLUMNS:
        if row.get(column) is not None:
            return str(row[column])
    path = row["image"].get("path")
    if not path:
        raise ValueError(f"a column {' or '.join(_ID_COLUMNS)} or image paths, got {sorted(row)}")
    return Path(path).stem
