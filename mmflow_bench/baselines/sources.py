"""What `--baseline` names: a run, a blessed baseline, the paper, or a checkpoint to be measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mmflow_bench.baselines.golden import packaged_root, read_entries
from mmflow_bench.errors import BaselineError
from mmflow_bench.mechanisms.declared import mechanisms, shipped
from mmflow_bench.mechanisms.paper import PAPER_MODELS
from mmflow_bench.runs.folder import has_results, results_json
from mmflow_bench.runs.rows import incomplete_line

VALUES = "values"
"""Folder of a blessed baseline that holds the values of samples."""
PAPER, HUB = "paper/", "hub:"
ORIGIN = "read from the prose of arXiv:2411.18620; the paper publishes no tables of these numbers"
_CHECKPOINT_FILES = ("config.json", "adapter_config.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the baseline of a comparison comes from."""

    kind: Literal["run", "verdicts", "checkpoint"]
    name: str
    """As the user has written it."""
    folder: Path | None = None
    """Of a run: results.json and tables of samples."""
    is_blessed: bool = False
    """Whether the folder was made by `mmflow bless`, not by a run."""
    verdicts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(mechanism, task) -> verdict, where there are no values of samples."""
    origin: str = ""
    """What a reader must know of where the verdicts come from."""


def find_source(
    text: str,
    *,
    roots: Sequence[Path],
    start: Path,
    offline: bool,
    allow_incomplete: bool = False,
) -> Source:
    """What a user means by `--baseline=TEXT`.

    A path comes first, then the name of a folder of baselines; everything else is taken for a
    checkpoint, which the registry or the hub may know.

    Args:
        text: `hub:OWNER/NAME`, `paper/MODEL`, a path, the name of a baseline, or a checkpoint.
        roots: Folders of baselines.
        start: What relative paths are relative to.
        offline: Whether the hub must not be asked.
        allow_incomplete: Whether a run that has ended early will do.

    Raises:
        BaselineError: It is there and holds no baseline, or none that is complete, or it cannot be
            fetched.
    """
    found = _found(text, roots, start, offline)
    if found.folder is not None and not allow_incomplete:
        refuse_incomplete(found.folder, _incomplete(results_json(found.folder)))
    return found


def _incomplete(results: object) -> str:
    """Why a run is not complete, by the content of results.json; whoever reads it checks it."""
    if not isinstance(results, dict) or results.get("complete") is not False:
        return ""
    return incomplete_line(False, map(str, results.get("unfinished") or ()))


def refuse_incomplete(folder: Path, why: str) -> None:
    """Refuse a run that does not hold all that it was to measure.

    Args:
        folder: Of the run, or of what was blessed of one.
        why: It is not complete; empty where it is.

    Raises:
        BaselineError: It is not complete.
    """
    if why:
        raise BaselineError(
            f"a complete run, got an {why} ({folder}); run it to its end (what was measured is in "
            "the store), or take it as it is with --allow-incomplete"
        )


def _found(text: str, roots: Sequence[Path], start: Path, offline: bool) -> Source:
    if text.startswith(HUB):
        return _in_folder(_from_hub(text.removeprefix(HUB), offline=offline), text)
    if text.startswith(PAPER):
        return paper_source(text)
    path = start / os.path.expanduser(text)
    # Path.is_dir raises for a name that is longer than names of files may be.
    is_folder = os.path.isdir(path)
    if is_folder and not any((path / name).is_file() for name in _CHECKPOINT_FILES):
        return _in_folder(path, text)
    named = [root / text for root in roots if "/" not in text and os.path.isdir(root / text)]
    if named and not is_folder:
        return _in_folder(named[0], text)
    return Source(kind="checkpoint", name=text)


def source_here(text: str, *, offline: bool, allow_incomplete: bool = False) -> Source:
    """`find_source` for a command: paths and baselines are those of the current folder.

    Raises:
        BaselineError: As `find_source`.
    """
    here = Path.cwd()
    roots = (here / "baselines", packaged_root())
    return find_source(
        text, roots=roots, start=here, offline=offline, allow_incomplete=allow_incomplete
    )


def paper_source(text: str) -> Source:
    """The paper's own words on one of its checkpoints, as verdicts.

    Raises:
        BaselineError: The paper is not about it.
    """
    model = text.removeprefix(PAPER)
    if model not in PAPER_MODELS:
        known = ", ".join(sorted(f"{PAPER}{name}" for name in PAPER_MODELS))
        raise BaselineError(f"a checkpoint of the paper ({known}), got {text!r}")
    # By test, since what the paper says of a mechanism may depend on the task.
    said = {
        (one.id, task): verdict
        for one in (test.declaration for test in shipped())
        if (verdict := one.expected_of(model))
        for task in one.tasks
    }
    asked = ((one.id, task) for one in mechanisms(shipped()) for task in one.tasks)
    verdicts = {key: said[key] for key in asked if key in said}
    return Source(kind="verdicts", name=text, verdicts=verdicts, origin=ORIGIN)


def paper_baselines() -> list[Source]:
    return [paper_source(f"{PAPER}{name}") for name in sorted(PAPER_MODELS)]


def _in_folder(folder: Path, text: str) -> Source:
    for place, is_blessed in ((folder, False), (folder / VALUES, True)):
        if has_results(place):
            return Source(kind="run", name=text, folder=place, is_blessed=is_blessed)
    verdicts = _stored_verdicts(folder)
    if not verdicts:
        raise BaselineError(
            f"a run folder, or a baseline made by `mmflow bless`, got neither ({folder}); `mmflow "
            "ls baselines` and `mmflow ls runs` list what there is"
        )
    return Source(kind="verdicts", name=text, verdicts=verdicts, origin=str(folder))


def _stored_verdicts(folder: Path) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for path in sorted(folder.glob("*.json")):
        for entry in read_entries(path).values():
            if isinstance(entry, dict) and entry.get("mechanism"):
                found[entry["mechanism"], entry.get("task", "all")] = str(entry["verdict"])
    return found


def _from_hub(name: str, *, offline: bool) -> Path:
    if offline:
        raise BaselineError(
            f"a baseline that is on disk, got hub:{name} with --offline; give the folder that it "
            "was downloaded to"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repository, _, revision = name.partition("@")
    try:
        folder = snapshot_download(
            repository,
            repo_type="dataset",
            revision=revision or None,
            allow_patterns=["*.json", "*.parquet"],
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        first = (str(error).strip().splitlines() or ["no message"])[0]
        raise BaselineError(
            f"a data set on the hub, got {first} (hub:{name}); check its name, its access and the "
            "network"
        ) from error
    return Path(folder)
