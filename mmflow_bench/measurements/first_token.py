"""The text of the first token of an answer, which neither answer nor token id tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from mmflow_bench.checkpoints.families.decoders import PUBLISHED_END
from mmflow_bench.checkpoints.families.recognising import conversation
from mmflow_bench.errors import AnswerError
from mmflow_bench.measurements.wants import Kept, Rows, Want
from mmflow_bench.store.shards import Shard, filled

if TYPE_CHECKING:
    from mmflow_bench.measurements.sample_rows import SampleAtWork

FIRST_TOKENS = Shard(
    "first-tokens", pa.schema([filled("sample", pa.string()), filled("text", pa.string())])
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstTokenTable:
    """First tokens as text, for the samples of one task that are followed."""

    task: str
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstToken(Want[FirstTokenTable]):
    """What an answer begins with where the prompt itself does not end with a line break for it."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.first_token:first_token_rows"

    @property
    def shard(self) -> Shard:
        return FIRST_TOKENS

    @property
    def name(self) -> str:
        return "first token"

    @property
    def is_compared(self) -> bool:
        return False

    def table(self, kept: Kept, rows: pa.Table) -> FirstTokenTable:
        """The first token of every kept sample that has one."""
        samples, texts = (rows[name].to_pylist() for name in ("sample", "text"))
        known = dict(zip(samples, texts, strict=True))
        kept = kept.having(known.keys())
        return FirstTokenTable(
            task=kept.task,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            texts=tuple(known[key] for key in kept.keys),
        )

    def example(self, task: str, layers: int) -> FirstTokenTable:  # noqa: ARG002
        """One sample whose answer begins with a line break."""
        return FirstTokenTable(
            task=task, question_ids=("example",), image_ids=("example",), texts=("\n",)
        )


def first_token_rows(wants: Sequence[FirstToken], work: SampleAtWork) -> Rows:
    """The row of one sample; refused where the prompt has the end that the paper's program adds."""
    checkpoint = work.checkpoint
    spec, name = checkpoint.spec, checkpoint.conversation
    if spec.input == "paper" and name and conversation(name).after.endswith(PUBLISHED_END):
        error = AnswerError(
            "a prompt that leaves the first line break to the answer, got the paper's, which ends "
            f"with one (sample {work.sample.question_id}, conversation {name}); use --input=hub",
            reason="prompt-ends-with-the-paper's-line-break",
        )
        return work.refused(wants[0], error)
    text = str(checkpoint.tokenizer.decode([work.answer["answer_token_id"]]))
    return {FIRST_TOKENS: [{"sample": work.job.key_of(wants[0]), "text": text}]}
