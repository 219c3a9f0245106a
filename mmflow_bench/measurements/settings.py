"""What is measured and where it is kept: plain values that pytest and the command line share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mmflow_bench.measurements.following import Followed


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSettings:
    """Which samples are measured, on what device, and which store keeps the result."""

    questions: Path | None = None
    """A question file, a folder of them or a pattern; the checkpoint's own samples when None."""
    images: Path | str | None = None
    """A folder, a zip file, or `hub` with the name of a data set."""
    tasks: tuple[str, ...] = ()
    """Glob patterns; every task when empty."""
    limit: str | None = None
    """`20`, `0.1` or `10-20`, per task."""
    seed: int | None = None
    """Shuffles before the limit is taken; file order when None."""
    cache: Path | None = None
    """Folder of the measurement store; nothing is kept when None."""
    from_cache: bool = False
    refresh: bool = False
    batch_size: int | None = None
    """Samples per clean pass; chosen from free memory when None. Results do not depend on it."""
    device: str = "auto"
    offline: bool = False
    self_test: bool = True
    keep_incorrect: bool = False
    follow: Followed = Followed.ANSWER
    """Whose answer's probability is followed through the knockouts."""

    def open_arguments(self) -> dict[str, Any]:
        """Keyword arguments for `Measurements.open`."""
        return {
            "questions": self.questions,
            "images": self.images,
            "tasks": exact_tasks(self.tasks),
            "limit": self.limit,
            "seed": self.seed,
            "cache": self.cache,
            "from_cache": self.from_cache,
            "refresh": self.refresh,
            "batch_size": self.batch_size,
            "self_test": self.self_test,
            "keep_incorrect": self.keep_incorrect,
            "follow": self.follow,
        }


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of the glob patterns; no pattern matches everything.

    >>> matches("ChooseAttr", ["Choose*"]), matches("ChooseAttr", []), matches("x", ["y"])
    (True, True, False)
    """
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def exact_tasks(patterns: Sequence[str]) -> tuple[str, ...] | None:
    """The tasks that glob patterns stand for, or None for "all".

    A pattern that matches none of the six tasks may name a task of a user's own file.
    """
    # Imported here, as in `parse_limit`: this module is loaded by every pytest run.
    from mmflow_bench.inputs.samples import SIX_TASKS

    if not patterns:
        return None
    own = [pattern for pattern in patterns if not any(fnmatchcase(t, pattern) for t in SIX_TASKS)]
    if any(set(pattern) & set("*?[") for pattern in own):
        return None
    return tuple(task for task in SIX_TASKS if matches(task, patterns)) + tuple(own)


def parse_questions(text: str, *, folder: Path = Path()) -> Path:
    """The question file that `--questions` names, a folder of them or a pattern.

    Args:
        text: The name of a shipped set, or a path.
        folder: What a relative path is relative to.

    Raises:
        ValueError: There is none.
    """
    from mmflow_bench.inputs.question_sets import question_path

    return question_path(text, folder)


def parse_images(text: str, *, folder: Path = Path()) -> Path | str:
    """The folder or zip file that `--images` names, or the text that names a data set on the hub.

    Args:
        text: A path, `hub`, or `hub:OWNER/NAME`.
        folder: What a relative path is relative to.

    Raises:
        ValueError: There is no such folder or file.
    """
    path = folder / os.path.expanduser(text)
    # Unlike the method of a path, this has an answer for a name that no file system takes.
    if os.path.exists(path):
        return path
    if text.partition(":")[0] == "hub":
        return text
    raise ValueError(
        f"--images takes a folder of images, a zip file or hub[:OWNER/NAME], got {path}, which is "
        "not there"
    )


def parse_limit(text: str) -> str:
    """The text of a limit, proved to be one.

    Raises:
        ValueError: It is neither a number of samples, a share nor a range.
    """
    from mmflow_bench.measurements.selection import Limit

    Limit.parse(text)
    return text


def parse_batch_size(text: str) -> int | None:
    """Samples per clean pass, or None for as many as memory allows.

    Raises:
        ValueError: The text is neither `auto` nor a positive whole number.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"--batch-size takes `auto` or a positive whole number, got {text!r}")
    return int(text)


def parse_window(text: str) -> int | None:
    """The window width in layers, or None for the width that scales with the depth.

    Raises:
        ValueError: The text is neither `auto` nor an odd positive number.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) % 2 == 0:
        raise ValueError(
            f"--window takes `auto` or an odd number of layers such as 9, got {text!r}; an even "
            "window has no centre"
        )
    return int(text)


def parse_globs(text: str | None) -> tuple[str, ...]:
    """The comma-separated glob patterns of an option.

    >>> parse_globs("Choose*, QueryAttr"), parse_globs(None)
    (('Choose*', 'QueryAttr'), ())
    """
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def parse_model_args(text: str | None) -> dict[str, str]:
    """The `key=value,key=value` pairs of --model-args.

    Raises:
        ValueError: A pair has no `=` or an empty key.
    """
    pairs: dict[str, str] = {}
    for part in parse_globs(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError(
                f"--model-args takes key=value pairs such as revision=main, got {part!r}"
            )
        pairs[key.strip()] = value.strip()
    return pairs


def default_cache() -> Path:
    """The folder of the store: $MMFLOW_CACHE, or `mmflow-bench` in the user's cache folder."""
    if chosen := os.environ.get("MMFLOW_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mmflow-bench"


def parse_cache(text: str | None) -> Path | None:
    """The folder that --mmflow-cache names; None for `off`, the default folder for None."""
    if text is None:
        return default_cache()
    return None if text == "off" else Path(text)


def resolve_device(device: str) -> str:
    """A device that torch understands: `auto` is the accelerator when there is one."""
    if device != "auto":
        return device
    # Looking for the driver first spares runs from the store two seconds of importing torch.
    if not Path("/proc/driver/nvidia").exists():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
