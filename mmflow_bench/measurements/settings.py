"""What is measured and where it is kept: the options that pytest and the command line share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mmflow_bench.checkpoints.made import cache_folder
from mmflow_bench.errors import StoreError
from mmflow_bench.measurements.records import Followed
from mmflow_bench.names import SUITES, Suite
from mmflow_bench.options import Place, listed, setting, whole_number
from mmflow_bench.store.address import StoreAddress, is_url, local_folder


def parse_questions(text: str, folder: Path = Path()) -> Path:
    """The question file that `--questions` names, a folder of them or a pattern.

    Raises:
        ValueError: It is neither a shipped set nor a path, relative to `folder`, of such files.
    """
    # Imported here, as in `parse_limit`: this module is loaded by every pytest run.
    from mmflow_bench.inputs.question_sets import question_path

    return question_path(text, folder)


def parse_images(text: str, folder: Path = Path()) -> Path | str:
    """The folder or zip file that `--images` names, or the text that names a data set on the hub.

    Raises:
        ValueError: It is neither `hub[:OWNER/NAME]` nor a path, relative to `folder`, that exists.
    """
    path = folder / os.path.expanduser(text)
    # Unlike the method of a path, this has an answer for a name that no file system takes.
    if os.path.isdir(path) and not os.listdir(path):
        raise ValueError(
            f"--images takes a folder of images, got {path}, which is empty; check the name"
        )
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
        ValueError: It is neither a number of images, a share nor a range.
    """
    from mmflow_bench.measurements.limits import Limit

    Limit.parse(text)
    return text


def parse_shard(text: str) -> str:
    """The text of a shard; that of `auto` is the one which the environment gives.

    Raises:
        ValueError: It is neither.
    """
    from mmflow_bench.measurements.sharding import Slice

    return str(Slice.parse(text, os.environ))


def parse_workers(text: str) -> int | None:
    """How many workers, or None for as many as there is room for."""
    return _number_or_auto("--workers", text)


def parse_worker_cores(text: str) -> int:
    """How many cores each worker has; a ValueError for text that is no positive number."""
    return whole_number("--worker-cores", text, least=1)


def parse_tasks(text: str) -> tuple[str, ...]:
    """The names and glob patterns of --tasks; a ValueError for text that holds none."""
    return listed("--tasks", text, "names or patterns")


def parse_mechanisms(text: str) -> tuple[str, ...]:
    """The names and glob patterns of --mechanisms; a ValueError for text that holds none."""
    return listed("--mechanisms", text, "names or patterns")


def parse_seed(text: str) -> int:
    """The number that a random order is drawn by; a ValueError for text that is none."""
    return whole_number("--seed", text, least=0)


def parse_batch_size(text: str) -> int | None:
    """Samples per clean pass, or None for as many as memory allows."""
    return _number_or_auto("--batch-size", text)


def _number_or_auto(option: str, text: str) -> int | None:
    """A positive number, or None for `auto`; a ValueError for other texts."""
    if text == "auto":
        return None
    try:
        return whole_number(option, text, least=1)
    except ValueError as error:
        raise ValueError(
            f"{option} takes `auto` or a positive whole number, got {text[:80]!r}"
        ) from error


def parse_window(text: str) -> int | None:
    """The window width in layers, or None for the width that scales with the depth."""
    if text == "auto":
        return None
    try:
        width = whole_number("--window", text, least=1)
    except ValueError:
        width = 0
    if width % 2 == 0:
        raise ValueError(
            f"--window takes `auto` or an odd number of layers such as 9, got {text!r}; an even "
            "window has no centre"
        )
    return width


def default_cache() -> Path | StoreAddress:
    """The store: $MMFLOW_CACHE, or the folder `mmflow-bench` in the user's cache folder.

    Raises:
        StoreError: The variable holds a URL that names no store.
    """
    chosen = os.environ.get("MMFLOW_CACHE")
    if not chosen or not is_url(chosen):
        return cache_folder()
    try:
        return _address(chosen)
    except ValueError as error:
        raise StoreError(f"{error} (MMFLOW_CACHE)") from error


def _address(url: str) -> StoreAddress:
    return StoreAddress.parse(url, beside=cache_folder())


def parse_cache(text: str, folder: Path = Path()) -> Path | StoreAddress | None:
    """The folder or the URL that --mmflow-cache names; None for `off`.

    Raises:
        ValueError: The text is empty, as that of a variable is which a job has lost, or a URL that
            names no store.
    """
    if not text.strip():
        raise ValueError(
            f"--mmflow-cache takes a folder or `off`, got {text!r}; leave it out for the default"
        )
    if is_url(text):
        return _address(text)
    return None if text == "off" else folder / os.path.expanduser(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementSettings:
    """Which samples are measured, how, and which store keeps the result."""

    tasks: tuple[str, ...] = setting(
        (),
        "tasks, e.g. Choose*",
        metavar="GLOB,...",
        parse=parse_tasks,
        # A variable that a CI job has lost must not select everything.
        is_empty_said=True,
        places=Place.LOADING,
    )
    """Glob patterns; every task when empty."""
    mechanisms: tuple[str, ...] = setting(
        (),
        "mechanisms, by id, e.g. q-last-*; `mmflow ls mechanisms` lists them",
        metavar="GLOB,...",
        parse=parse_mechanisms,
        is_empty_said=True,
        places=Place.PYTEST | Place.RESULTS | Place.MEASURE,
    )
    """Glob patterns over mechanism ids; every mechanism when empty."""
    suite: Suite = setting(
        "core",
        "how many mechanisms are asked: the cheap ones (core, the default), everything that the "
        "paper says (paper), or what the literature asks since too (all); one that --mechanisms "
        "names in full is asked whatever its suite",
        choices=SUITES,
        places=Place.PYTEST | Place.INI | Place.RESULTS | Place.MEASURE,
    )
    questions: Path | None = setting(
        None,
        "question file, folder or pattern (CSV, Parquet, JSON lines), or gqa for the paper's "
        "six sets, which ship with mmflow-bench (default: the checkpoint's own samples; gqa "
        "where --images is given)",
        metavar="FILE|gqa",
        locate=parse_questions,
        places=Place.SAMPLING,
    )
    images: Path | str | None = setting(
        None,
        "folder or zip file of the images, or hub[:OWNER/NAME] to stream GQA's",
        metavar="DIR|ZIP|hub",
        locate=parse_images,
        places=Place.LOADING,
    )
    limit: str | None = setting(
        None,
        "images per task, each with all its samples: a number, a share or a range",
        metavar="N|0.1|A-B",
        parse=parse_limit,
        places=Place.SAMPLING | Place.INI,
    )
    shard: str | None = setting(
        None,
        "measure one of N parts of the images, as other processes measure the others (auto: the "
        "place in a Slurm array, or of a rank of torchrun or accelerate)",
        metavar="I/N|auto",
        parse=parse_shard,
        is_empty_said=True,
        places=Place.MEASURE,
    )
    engine: str = setting(
        "local",
        "who measures: this process (local, the default), or workers of a Ray cluster, which a "
        "checkpoint is loaded on once (ray; pip install 'mmflow-bench[scale]')",
        choices=("local", "ray"),
        places=Place.MEASURE,
    )
    address: str | None = setting(
        None,
        "cluster of --engine=ray: auto for the one of this machine, HOST:PORT, or ray's own "
        "RAY_ADDRESS (default: one of this machine that ends with the command)",
        metavar="auto|HOST:PORT",
        environment="RAY_ADDRESS",
        places=Place.MEASURE,
    )
    workers: int | None = setting(
        None,
        "workers of --engine=ray (auto: one for each accelerator of the cluster, or for "
        "--worker-cores where it has none)",
        metavar="N|auto",
        parse=parse_workers,
        places=Place.MEASURE,
        unset="auto",
    )
    worker_cores: int = setting(
        1,
        "cores of each worker of --engine=ray where the cluster has no accelerator (default 1)",
        metavar="K",
        parse=parse_worker_cores,
        places=Place.MEASURE,
    )
    seed: int | None = setting(
        None,
        "shuffle the images before --limit cuts them (default: file order)",
        metavar="N",
        parse=parse_seed,
        places=Place.SAMPLING,
    )
    window: int | None = setting(
        None,
        "width of a knocked-out window in layers, odd (auto: 9/40 of the depth)",
        metavar="auto|K",
        parse=parse_window,
        places=Place.RUN | Place.MEASURE | Place.SWEEP | Place.TRACE,
        unset="auto",
    )
    """Width in layers; None scales with the depth."""
    follow: Followed = setting(
        Followed.ANSWER,
        "follow the model's own answer on samples that it gets right (answer, the default), "
        "or the reference answer on every sample",
        parse=Followed,
        choices=tuple(map(str, Followed)),
        places=Place.MEASURING | Place.INI,
    )
    """Whose answer's probability is followed through the knockouts; both are measured."""
    keep_incorrect: bool = setting(
        False, "keep samples that were answered wrongly", places=Place.SWEEP | Place.LENS
    )
    batch_size: int | None = setting(
        None,
        "samples per clean pass; verdicts do not depend on it",
        metavar="N|auto",
        parse=parse_batch_size,
        places=Place.MEASURING | Place.BUILD_SET | Place.INI,
        unset="auto",
    )
    """Chosen from free memory when None."""
    cache: Path | StoreAddress | None = setting(
        None,
        "folder of the measurement store, or a URL that machines share, e.g. s3://bucket/prefix "
        "(default: $MMFLOW_CACHE or the user's cache folder)",
        flag="--mmflow-cache",
        metavar="DIR|URL|off",
        locate=parse_cache,
        # Whoever opens measurements in a program keeps nothing unless a folder is named.
        is_empty_said=True,
        unsaid=default_cache,
        places=(Place.MEASURING | Place.BUILD_SET | Place.INI) & ~Place.RESULTS,
    )
    """Where the measurement store is; nothing is kept when None."""
    from_cache: bool = setting(
        False, "read the store only and never load the checkpoint", places=Place.MEASURING
    )
    refresh: bool = setting(
        False, "measure again what the store already has", places=Place.MEASURING & ~Place.RESULTS
    )
    self_test: bool = setting(
        True,
        "prove on loading that knockouts are exact on this checkpoint (default)",
        off="skip that proof",
        places=Place.MEASURING,
    )
    twins: bool = setting(
        True,
        "check verdicts by the counterfactual and the unnormalised method (default)",
        off="skip these checks, which measure part of the samples twice more",
        places=Place.PYTEST | Place.RESULTS | Place.MEASURE,
    )

    def __post_init__(self) -> None:
        # Here, so that no command empties a store that it is then not allowed to fill.
        if self.from_cache and self.refresh:
            raise ValueError("--from-cache reads the store and --refresh empties it; drop one")
        if self.shard and self.shard != "1/1":
            self._refuse_alone()
        if self.engine != "local":
            self._refuse_spread()
        if self.refresh and isinstance(self.cache, StoreAddress):
            raise ValueError(
                f"--refresh empties a store, and that at {self.cache} is others' too; measure anew "
                "under another prefix"
            )

    @property
    def folder(self) -> Path | None:
        """The folder of this machine that keeps what is measured, and images of the hub."""
        return None if self.cache is None else local_folder(self.cache)

    def _refuse_spread(self) -> None:
        """Refuse what workers could not keep, or would not be needed for."""
        if self.cache is None:
            raise ValueError(
                f"--engine={self.engine} takes a store that all workers write to, got "
                "--mmflow-cache=off; name a folder that all nodes see"
            )
        if self.from_cache:
            raise ValueError(
                f"--from-cache loads no checkpoint and --engine={self.engine} loads it on workers; "
                "drop one"
            )

    def _refuse_alone(self) -> None:
        """Refuse what would take from other shards what they have measured, or keep nothing."""
        if self.refresh:
            raise ValueError(
                "--refresh empties the store that the other shards of --shard fill; drop it, or "
                "point --mmflow-cache at a new folder"
            )
        if self.cache is None:
            raise ValueError(
                "--shard takes a store that keeps its part, got --mmflow-cache=off; name a folder "
                "that all shards write to, or one that is put together with theirs"
            )
