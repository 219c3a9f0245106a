"""What can be asked of every answered sample of a task: the protocol of a kind of measurement.

A kind is a frozen record (what is asked), the shard that keeps it, the function that measures it,
and the table that is read of it: `knockout_sweep.Sweep`, `lens.Lens` and `blind.Blind` are three.
Planning, the store, resuming and second opinions handle records and never ask which kind they are
of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Protocol, TypedDict, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from mmflow_bench.errors import StoreError
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.records import Followed
from mmflow_bench.store.shards import AT_LEAST_ONE, AT_LEAST_ZERO, PROBABILITY, Shard, filled

Table = TypeVar("Table", covariant=True)


class SampleTable(Protocol):
    """What every table has: the samples that it tells of."""

    @property
    def question_ids(self) -> tuple[str, ...]: ...


OfSamples = TypeVar("OfSamples", bound=SampleTable)
Rows = dict[Shard, list[dict[str, object]]]
"""What was measured of one sample."""

ANSWERS = Shard(
    "answers",
    pa.schema(
        [
            filled("sample", pa.string()),
            filled("prediction", pa.string()),
            filled("is_correct", pa.bool_()),
            filled("answer_token_id", pa.int64()),
            filled("base_probability", pa.float64()),
            ("reference_token_id", pa.int64()),
            ("reference_probability", pa.float64()),
            filled("noise", pa.float64()),
        ]
    ),
    ranges={
        **dict.fromkeys(("base_probability", "reference_probability"), PROBABILITY),
        **dict.fromkeys(("answer_token_id", "reference_token_id", "noise"), AT_LEAST_ZERO),
    },
)
UNSCORED = Shard(
    "unscored",
    pa.schema([filled(name, pa.string()) for name in ("sample", "scope", "reason", "message")]),
    keys=("sample", "scope"),
)
"""What could not be measured: `scope` is the name of a shard, or `ANSWER_SCOPE`."""
ANSWER_SCOPE = "answer"
_COUNTED = ("width", "height", "rows", "columns")
_CELLS = ("cell_width", "cell_height")
PATCHES = Shard(
    "patches",
    pa.schema(
        [
            filled("sample", pa.string()),
            *(filled(name, pa.int64()) for name in _COUNTED),
            *(filled(name, pa.float64()) for name in ("left", "top", *_CELLS)),
            filled("related", pa.list_(pa.int64())),
        ]
    ),
    ranges={
        **dict.fromkeys(_COUNTED, AT_LEAST_ONE),
        **dict.fromkeys((*_CELLS, "related"), AT_LEAST_ZERO),
    },
)
"""Which patches show the objects asked about."""


class Answer(TypedDict):
    """The greedy answer to one sample."""

    prediction: str
    """First line of the decoded answer, cut a few tokens beyond the length of the reference."""
    is_correct: bool
    answer_token_id: int
    """The model's own first answer token."""
    base_probability: float
    """Its probability without any knockout."""
    reference_token_id: int | None
    """The likeliest first token of the reference answer, whatever the model answers by itself; None
    where it begins with no token that the vocabulary knows."""
    reference_probability: float | None
    """Of all its first tokens together, without any knockout."""


class AnswerRow(Answer):
    """What the store keeps of it."""

    sample: str
    noise: float
    """Relative difference that a knockout of no edge makes."""


class Want(ABC, Generic[Table]):
    """One thing to be measured of every answered sample of a task; its subclasses are records."""

    __slots__ = ()

    measured_by: ClassVar[str]
    """`package.module:function`, called with the wants of this kind that a sample lacks and the
    `SampleAtWork`, that gives their rows. A name, since a run from the store imports no torch."""

    @property
    @abstractmethod
    def shard(self) -> Shard:
        """Where its rows are kept; wants that are measured together may share one."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is for readers: what a sample that lacks it is refused for."""

    @property
    def note(self) -> str:
        """What is said beside the name where only this want is refused, and not its plain form."""
        return ""

    @property
    def is_second_opinion(self) -> bool:
        """Whether it is asked by another method of knocking out than the paper's."""
        return False

    @property
    def is_compared(self) -> bool:
        """Whether two checkpoints are compared by what it tells."""
        return not self.is_second_opinion

    @property
    def asks_wrong_answers(self) -> bool:
        """Whether it is asked of samples that are answered wrongly too."""
        return False

    def scaled(self, layers: int) -> Want[Table]:  # noqa: ARG002
        """The same, where a width other than the usual one scales with the depth too."""
        return self

    def reads_entering(self, layers: int) -> Collection[int]:  # noqa: ARG002
        """Of a decoder of that many, the layers whose entering states it reads."""
        return ()

    @property
    def adds_to_readout(self) -> bool:
        """Whether its measurement adds to `SampleAtWork.readout`, and so comes before others."""
        return False

    @property
    def needs_mastery(self) -> bool:
        """Whether it tells something only where the task's questions are answered correctly."""
        return True

    def at(self, width: int) -> Want[Table]:  # noqa: ARG002
        """The same, where windows that scale with the depth are `width` layers."""
        return self

    def by(self, method: Method) -> Want[Table] | None:  # noqa: ARG002
        """The same asked by another method of knocking out.

        Itself where nothing is knocked out; None where no other method can be asked.
        """
        return self

    def key(self, sample: str, donor: str | None) -> str:  # noqa: ARG002
        """The key of a sample's rows: more than its content hash where they depend on more.

        `donor` is the content hash of the sample whose image the counterfactual method takes.
        """
        return sample

    @abstractmethod
    def table(self, kept: Kept, rows: pa.Table) -> Table:
        """What mechanisms read, of the samples of a task that have rows and of these rows."""

    @abstractmethod
    def example(self, task: str, layers: int) -> Table:
        """A table of one made-up sample, for flows that only watch what is asked of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The samples of one task that enter a table, each with its answer and the key of its rows."""

    task: str
    samples: tuple[Sample, ...]
    answers: tuple[AnswerRow, ...]
    keys: tuple[str, ...]
    layers: int
    """Depth of the decoder."""
    follow: Followed
    """Whose answer's probability the table tells."""

    @property
    def question_ids(self) -> tuple[str, ...]:
        return tuple(sample.question_id for sample in self.samples)

    @property
    def image_ids(self) -> tuple[str, ...]:
        return tuple(sample.image_id for sample in self.samples)

    @property
    def is_correct(self) -> Bool[np.ndarray, "sample"]:
        """Whether each sample is answered correctly."""
        return np.array([row["is_correct"] for row in self.answers], bool)

    def followed(self) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """First token and clean probability of the answer that is followed, for each sample."""
        if self.follow is Followed.ANSWER:
            tokens = tuple(row["answer_token_id"] for row in self.answers)
            return tokens, tuple(row["base_probability"] for row in self.answers)
        # What has no reference token is not followed, and so not kept.
        tokens = tuple(row["reference_token_id"] or 0 for row in self.answers)
        return tokens, tuple(row["reference_probability"] or 0.0 for row in self.answers)

    def where(self, chosen: Bool[np.ndarray, "sample"]) -> Kept:
        """The samples that are chosen, one truth value for each."""
        return self.having({key for key, one in zip(self.keys, chosen, strict=True) if one})

    def having(self, keys: Collection[str]) -> Kept:
        members = zip(self.samples, self.answers, self.keys, strict=True)
        chosen = [member for member in members if member[2] in keys]
        samples, answers, found = zip(*chosen, strict=True) if chosen else ((), (), ())
        return replace(self, samples=samples, answers=answers, keys=found)

    def matrix(self, rows: pa.Table, column: str, width: int) -> np.ndarray:
        """Values of `column` as (sample, layer), samples in the order of the keys.

        Raises:
            StoreError: A sample has more values than `width`, or fewer.
        """
        owner = _places(rows["sample"], self.keys)
        is_asked = owner >= 0
        owner, values = owner[is_asked], rows[column].combine_chunks().filter(pa.array(is_asked))
        is_there = values.is_valid().to_numpy(zero_copy_only=False)
        counts = np.bincount(owner, minlength=len(self.keys))
        filled_in = np.bincount(owner[is_there], minlength=len(self.keys))
        for at in np.flatnonzero((counts != width) | (filled_in != width)):
            raise StoreError(
                f"{width} values of {column} for a checkpoint of {self.layers} layers, got "
                f"{filled_in[at]} (task {self.task}, sample {self.keys[at][:12]}); measure again "
                "with --refresh"
            )
        # Of one sample in the order in which they come.
        order = np.argsort(owner, kind="stable")
        found: np.ndarray = values.to_numpy(zero_copy_only=False).astype(float)[order]
        return found.reshape(len(self.keys), width)


def _places(keys: pa.ChunkedArray, known: Sequence[str]) -> Int[np.ndarray, "row"]:
    """Where each key is among those that are known; -1 where it is not."""
    array = keys.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    places = pc.index_in(array.dictionary, value_set=pa.array(known, pa.string()))
    return np.asarray(places.fill_null(-1).take(array.indices), int)


def resolved(
    wants: Collection[Want[object]], *, width: int, layers: int
) -> tuple[Want[object], ...]:
    """Each want once, as it is asked of a decoder of `layers` with windows of `width` layers."""
    return tuple(dict.fromkeys(want.scaled(layers).at(width) for want in wants))
