"""Which questions are those of the paper: by their ids, which are GQA's."""

from __future__ import annotations

from functools import cache

from mmflow_bench.inputs.question_sets import GQA, SHIPPED


@cache
def published_ids() -> frozenset[str]:
    """The question_id of every question of the six published sets."""
    # Suites ask this, and listing them reads no table.
    import pyarrow.parquet as pq

    column = pq.read_table(SHIPPED[GQA], columns=["question_id"])["question_id"]
    return frozenset(column.to_pylist())
