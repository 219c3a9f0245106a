"""What became of every part of a campaign, kept beside its runs so that another day goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmflow_bench.campaigns.asked import Campaign, Part
from mmflow_bench.checkpoints.fingerprint import file_hash
from mmflow_bench.errors import CampaignError
from mmflow_bench.files import read_json, refusing, replace_file
from mmflow_bench.runs.folder import has_results
from mmflow_bench.runs.results import first_fault
from mmflow_bench.store.sealed import identity_digest

FILE = "campaign.json"


class Entry(BaseModel):
    """Of one part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    asked: str
    """Digest of what was asked of which weights."""
    state: Literal["done", "stopped", "failed"]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """That all its runs have taken."""
    run: str | None = None
    """Folder of the last one, within that of the campaign."""
    said: str = ""
    """Why it is not done."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    parts: dict[str, Entry] = Field(default_factory=dict)


class Ledger:
    """The entries of a campaign by part, written after each."""

    def __init__(self, output: Path) -> None:
        """Read what there is.

        Raises:
            CampaignError: There is a file that cannot be read.
        """
        self._output = output
        self._file = _read(output / FILE)

    def of(self, part: Part) -> Entry | None:
        return self._file.parts.get(part.name)

    def is_done(self, part: Part, asked: str) -> bool:
        """Whether it was measured as it is asked now, and its run is still there."""
        entry = self.of(part)
        return (
            entry is not None
            and entry.state == "done"
            and entry.asked == asked
            and bool(self._run_of(entry))
        )

    def seconds(self, model: str | None = None) -> float:
        """That the runs of a checkpoint, or of all, have taken so far."""
        entries = self._file.parts.values()
        return sum(one.seconds for one in entries if model in (None, one.model))

    def keep(self, part: Part, entry: Entry) -> None:
        """Write down what became of a part.

        Raises:
            CampaignError: It cannot be written.
        """
        self._file.parts[part.name] = entry
        with _writing(self._output):
            text = self._file.model_dump_json(indent=1, exclude_none=True)
            replace_file(self._output / FILE, f"{text}\n")

    def runs(self, campaign: Campaign) -> list[Path]:
        """Folders of the runs that the campaign's parts have left."""
        entries = [self.of(part) for part in campaign.parts]
        folders = [self._run_of(entry) for entry in entries if entry]
        return [folder for folder in folders if folder is not None]

    def _run_of(self, entry: Entry) -> Path | None:
        folder = self._output / entry.run if entry.run else None
        return folder if folder is not None and has_results(folder) else None


def digest(part: Part, checkpoint: str) -> str:
    """What a part asks of which weights, and who asks; whatever of it changes is another run.

    Args:
        part: The part.
        checkpoint: Fingerprint of its checkpoint.

    Raises:
        OSError: The question file cannot be read.
    """
    questions = part.settings.measurement.questions
    asked = file_hash(questions) if questions is not None and questions.is_file() else ""
    about = {
        "arguments": list(part.arguments),
        "checkpoint": checkpoint,
        "questions": asked,
        "version": metadata.version("mmflow-bench"),
    }
    return identity_digest(about)[:24]


@contextmanager
def only_one(output: Path) -> Iterator[None]:
    """The only campaign at work in its folder.

    Raises:
        CampaignError: Another process has it, or it cannot be written.
    """
    with _writing(output):
        output.mkdir(parents=True, exist_ok=True)
        lock = FileLock(output / ".campaign.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise CampaignError(
                f"a campaign that nobody else is at work on, got one that is ({output}); wait for "
                "it, or give the other one an `output:` of its own"
            ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    advice = "name another folder with `output:`; what was measured is kept in the store"
    with refusing(CampaignError, "a folder that can be written", output, advice):
        yield


def _read(path: Path) -> _File:
    form = "the record of a campaign"
    advice = "move it away to begin anew; what was measured is in the store"
    try:
        return _File.model_validate(read_json(path))
    except FileNotFoundError:
        return _File()
    except ValidationError as error:
        raise CampaignError(f"{form}, got {first_fault(error)} ({path}); {advice}") from error
    except (OSError, ValueError) as error:
        raise CampaignError(f"{form}, got {error} ({path}); {advice}") from error
