"""An edge cut in random halves of all attention heads: what is asked, kept and read of it.

Single heads stand in for each other, so that cutting one shows nothing of it; what each of many
random cuts costs tells how much of the effect each head carries (Kim et al. 2025,
arXiv:2509.17588; docs/decisions/050).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.interventions.knockout import Edge, Method
from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.shards import AT_LEAST_ONE, AT_LEAST_ZERO, Shard, filled

PAIRS = 16
"""Random masks of a sample, each measured together with its opposite."""
NOTHING, EVERYTHING, FIRST = 0, 1, 2
"""Numbers of the masks of no head, of every head, and of the first random one."""
MASKS = FIRST + 2 * PAIRS

_SCHEMA = pa.schema(
    [
        filled("sample", pa.string()),
        filled("mask", pa.int64()),
        filled("heads", pa.int64()),
        filled("log_odds", pa.float64()),
        ("reference_log_odds", pa.float64()),
    ]
)
_RANGES = {"mask": AT_LEAST_ZERO, "heads": AT_LEAST_ONE}


def random_half(key: str, pair: int, *, layers: int, heads: int) -> Bool[ndarray, "layer head"]:
    """The heads that a random mask cuts; those that it does not are its opposite's.

    The bits of a hash of the sample's key: the same on every machine, for ever.

    >>> int(random_half("sample", 0, layers=40, heads=40).sum())
    775
    """
    bits = hashlib.shake_256(f"{key}/{pair}".encode()).digest(-(-layers * heads // 8))
    flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=layers * heads)
    return flat.astype(bool).reshape(layers, heads)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadMasksTable:
    """What each cut costs, for the samples of one task that are followed."""

    task: str
    edge: str
    layers: int
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    halves: Bool[ndarray, "sample pair head"]
    """Heads that the first mask of each pair cuts, and the second does not; layer by layer."""
    loss: Float[ndarray, "sample pair 2"]
    """Log-odds of the followed answer that either mask of a pair costs."""
    whole_loss: Float[ndarray, "sample"]
    """What it costs to cut every head."""

    def __post_init__(self) -> None:
        """Refuse what is no number, whoever has measured it.

        Raises:
            StoreError: A loss is NaN or infinite.
        """
        refuse_not_finite(f"heads of {self.edge} on {self.task}", self.loss, self.whole_loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadMasks(Want[HeadMasksTable]):
    """One edge cut in all layers, in random halves of the attention heads and in all of them."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.head_mask_rows:head_mask_rows"

    edge: Edge

    @classmethod
    def of(cls, edge: str) -> HeadMasks:
        """Masks of an edge as people write it: `HeadMasks.of("image -> question")`."""
        return cls(edge=Edge.parse(edge))

    @property
    def shard(self) -> Shard:
        edge = str(self.edge).replace("->", "-to-")
        return Shard(f"heads.{edge}", _SCHEMA, keys=("sample", "mask"), ranges=_RANGES)

    @property
    def name(self) -> str:
        return f"heads of {self.edge}"

    @property
    def is_compared(self) -> bool:
        """False: it is an observation about one checkpoint."""
        return False

    def by(self, method: Method) -> None:
        """None: it is asked by the paper's method alone."""

    def table(self, kept: Kept, rows: pa.Table) -> HeadMasksTable:
        """What every cut costs in log-odds of the followed answer."""
        is_reference = kept.follow is Followed.REFERENCE
        if is_reference:
            # A reference answer that has no first token is not followed.
            rows = rows.filter(pc.is_valid(rows["reference_log_odds"]))
            kept = kept.having(frozenset(rows["sample"].unique().to_pylist()))
        column = "reference_log_odds" if is_reference else "log_odds"
        found = kept.matrix(rows, column, MASKS)
        loss = found[:, [NOTHING]] - found
        heads = int(rows["heads"][0].as_py()) if len(rows) else 0
        return HeadMasksTable(
            task=kept.task,
            edge=str(self.edge),
            layers=kept.layers,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            halves=_halves(kept, heads),
            loss=loss[:, FIRST:].reshape(len(loss), PAIRS, 2),
            whole_loss=loss[:, EVERYTHING],
        )

    def example(self, task: str, layers: int) -> HeadMasksTable:
        """One sample whose heads all carry the same."""
        halves = np.stack(
            [random_half("example", pair, layers=layers, heads=2).ravel() for pair in range(PAIRS)]
        )
        cut = halves.mean(axis=1)
        return HeadMasksTable(
            task=task,
            edge=str(self.edge),
            layers=layers,
            question_ids=("example",),
            image_ids=("example",),
            halves=halves[None],
            loss=np.stack([cut, 1 - cut], axis=1)[None],
            whole_loss=np.ones(1),
        )


def _halves(kept: Kept, heads: int) -> Bool[ndarray, "sample pair head"]:
    chosen = [
        random_half(key, pair, layers=kept.layers, heads=heads).ravel()
        for key in kept.keys
        for pair in range(PAIRS)
    ]
    return np.array(chosen, bool).reshape(len(kept.keys), PAIRS, kept.layers * heads)
