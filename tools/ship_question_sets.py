"""Write the six published question sets as the one Parquet file that ships with the package.

    python tools/ship_question_sets.py FOLDER

FOLDER holds the CSV files as published with the paper (`GQA_val_correct_question_with_*.csv`) and
their licence. Rows keep the files' order, task by task; every row is kept as it is, also one that
the reader refuses. Columns that follow from others, or are the same in every row, are left out
(`question word`, `full answer`, `operation_1` and `_2`, attributes and the list of all objects).
"""

from __future__ import annotations

import sys
from pathlib import Path

from mmflow_bench.inputs.published import csv_rows, csv_task
from mmflow_bench.inputs.question_sets import GQA, SHIPPED, SHIPPED_COUNTS
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.inputs.writing import write_published


def main(folder: Path) -> None:
    """Convert the files of `folder` and check their rows against Table 1 of the paper."""
    rows = []
    for task in SIX_TASKS:
        (path,) = folder.glob(f"GQA_val_correct_question_with_*_{task}.csv")
        found = [row for _, row in csv_rows(path)]
        assert {csv_task(row, path) for row in found} == {task}
        assert len(found) == SHIPPED_COUNTS[GQA][task], (task, len(found))
        rows += found
    write_published(rows, SHIPPED[GQA])
    licence = (folder / "LICENSE-question-sets").read_text(encoding="utf-8")
    SHIPPED[GQA].with_name("LICENSE").write_text(licence, encoding="utf-8")
    print(f"{len(rows)} rows, {SHIPPED[GQA].stat().st_size} bytes: {SHIPPED[GQA]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
