"""What every stage of a training needs: its numbers, a folder that outlives it, a bar, a log."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a checkpoint is trained; another recipe belongs into another folder."""

    seed: int = 0
    tower_steps: int = 600
    tower_batch: int = 32
    tower_rate: float = 1e-3
    projector_steps: int = 400
    projector_batch: int = 32
    projector_rate: float = 2e-3
    steps: int = 200
    """Of the first lesson, in which all tasks are asked alike."""
    more_steps: int = 0
    """Of a second, which is about questions that need two objects."""
    scenes: int = 6
    """In one step."""
    questions: int = 6
    """About each of them."""
    rank: int = 16
    learning_rate: float = 5e-4
    """Of the adapter; the projector learns at a fifth of it."""
    warm_up: int = 30
    keep_every: int = 10
    """Steps after which weights are written: training can be resumed there, and measured."""
    check_every: int = 25
    """Steps after which held-out questions are asked."""
    check_questions: int = 20
    """Of each task."""


class Run:
    """The folder of one training."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        """Open a folder, or one of the same recipe again.

        Raises:
            ValueError: The folder was begun with another recipe.
        """
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "recipe.json"
        if path.exists() and json.loads(path.read_text()) != asdict(recipe):
            raise ValueError(
                f"the recipe that {folder} was begun with ({path}), got another one; name another "
                "folder, or the same settings to resume"
            )
        path.write_text(json.dumps(asdict(recipe), indent=2) + "\n")

    def restore(self, name: str, module: nn.Module) -> bool:
        """Load what a finished stage has learned, if it is there."""
        path = self.folder / f"{name}.safetensors"
        if path.exists():
            module.load_state_dict(load_file(path))
        return path.exists()

    def keep(self, name: str, module: nn.Module) -> None:
        """Write what a stage has learned."""
        self.write(name, dict(module.state_dict()))

    def write(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Replace a file of tensors as a whole: whoever is interrupted leaves the old one."""
        path = self.folder / f"{name}.safetensors"
        partial = path.with_suffix(".partial")
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, partial)
        partial.replace(path)

    def log(self, stage: str, step: int, numbers: dict[str, float]) -> None:
        """One line of `log.jsonl`."""
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps({"stage": stage, "step": step, **numbers}) + "\n")


class Progress:
    """A bar on the terminal with the latest numbers, each of which is logged."""

    def __init__(self, stage: str, steps: int, run: Run, *, done: int = 0) -> None:
        self._stage, self._run = stage, run
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
        )
        self._task = self._bar.add_task(stage, total=steps, completed=done, numbers="")

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def log(self, step: int, **numbers: float) -> None:
        """The numbers of a step that is done."""
        self._run.log(self._stage, step, numbers)
        text = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        self._bar.update(self._task, completed=step + 1, numbers=text)
