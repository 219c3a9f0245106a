"""How much goes through the model at once, from free memory; less of it when memory runs out.

Nothing here changes a number: samples and knockouts do not see each other, whatever shares a pass.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.checkpoints.foreign import is_out_of_memory
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.interventions.knockout import Intervention
from mmflow_bench.interventions.portions import position_bytes
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.suffixes import (
    MOST_POSITIONS,
    knockout_logits,
    knockout_readings,
)

logger = logging.getLogger(__name__)

MOST_SAMPLES = 16
"""Beyond this a clean pass keeps any device busy."""

# What a clean pass needs while it runs, in multiples of what is kept of it; and the pass of the
# same question about another image, which is kept beside it.
_WORKING_COPIES = 5
# Of free memory, for clean passes and again for suffix passes.
_SHARE = 0.4


def free_memory(device: torch.device | str) -> int:
    """Bytes that can still be used on a device, torch's own reserve included."""
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + reserve
    return min(_of_machine(), _of_container())


def _of_machine() -> int:
    """What Linux could free, file cache included; a modest guess elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return 2**31


def _of_container() -> int:
    """What is left of the limit of a control group, if there is one."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        return int(limit) - int(used)
    except (OSError, ValueError):
        return 2**62


class Throttle:
    """How many samples and knockouts share a pass; goes down when memory runs out."""

    def __init__(self, checkpoint: LoadedCheckpoint, batch_size: int | None) -> None:
        # One sample first, when it is to be learned how many there may be.
        self.samples = 1 if batch_size is None else batch_size
        self.positions = MOST_POSITIONS
        self.checkpoint = checkpoint
        self._is_learning = batch_size is None
        self._has_said = False

    def learn(self, clean: CleanPass) -> None:
        """Choose sizes from what the first clean pass has kept."""
        if self._is_learning:
            self._is_learning = False
            budget = _SHARE * free_memory(self.checkpoint.parts.device)
            self.samples = _within(budget / (_WORKING_COPIES * _kept_bytes(clean)), MOST_SAMPLES)
            self.positions = _within(budget / position_bytes(self.checkpoint), MOST_POSITIONS)

    def knockout_logits(
        self, clean: CleanPass, knockouts: Sequence[Intervention], **how: Any
    ) -> Float[Tensor, "knockout vocab"]:
        """As `suffixes.knockout_logits`, in smaller and smaller parts while memory runs out."""
        return self._in_parts(knockout_logits, clean, knockouts, **how)

    def knockout_readings(
        self, clean: CleanPass, interventions: Sequence[Intervention], **how: Any
    ) -> Tensor:
        """As `suffixes.knockout_readings`, likewise."""
        return self._in_parts(knockout_readings, clean, interventions, **how)

    def _in_parts(
        self,
        run: Callable[..., Tensor],
        clean: CleanPass,
        interventions: Sequence[Intervention],
        **how: Any,
    ) -> Tensor:
        while True:
            shortages: list[str] = []
            with noticing(shortages):
                return run(
                    self.checkpoint, clean, interventions, max_positions=self.positions, **how
                )
            give_back()
            # Too little for a single row: smaller than that no part can be.
            if not self._fewer_positions(len(interventions) * clean.length):
                raise torch.OutOfMemoryError(shortages[-1])

    def fewer_samples(self, tried: int) -> None:
        # At most half of what was too much.
        self._say_once()
        self.samples = max(1, min(self.samples, tried // 2))

    def _fewer_positions(self, tried: int) -> bool:
        """At most half the positions of a suffix pass; False if already no two rows shared one."""
        self._say_once()
        can_go_down = self.positions > 1
        self.positions = max(1, min(self.positions, tried) // 2)
        return can_go_down

    def _say_once(self) -> None:
        self._is_learning = False
        if not self._has_said:
            self._has_said = True
            logger.warning(
                "memory ran out on %s (checkpoint %s): going on with fewer samples at once, which "
                "changes no result",
                self.checkpoint.parts.device,
                self.checkpoint.spec.name,
            )


def _within(number: float, most: int) -> int:
    return max(1, min(most, int(number)))


def _kept_bytes(clean: CleanPass) -> int:
    """Size of a clean pass; masks that layers share count once."""
    tensors = {id(tensor): tensor for field in fields(clean) for tensor in _all(clean, field.name)}
    return sum(tensor.nbytes for tensor in tensors.values())


def _all(clean: CleanPass, name: str) -> Iterable[Tensor]:
    value: Tensor | tuple[Tensor, ...] | Mapping[int, Tensor] = getattr(clean, name)
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, tuple) else (value,)


@contextmanager
def noticing(shortages: list[str]) -> Iterator[None]:
    """An error that says that memory ran out becomes an entry of `shortages`."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        shortages.append(" ".join(str(error).split())[:200] or type(error).__name__)


def give_back() -> None:
    """Return what a failed pass held; to be called when nothing refers to its error any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
