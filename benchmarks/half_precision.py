"""What half precision does to verdicts: the same suite with weights of float32, bfloat16, float16.

The runs of a checkpoint are the same but for the precision of its weights, and so of its layers.
Beside every verdict in float32 stand those in the others, and how far a knockout of no edge moves
the answer in each, the noise of the instrument. Second opinions are left out, as both would move.

    python benchmarks/half_precision.py [--model NAME ...] [--suite core] [--tasks T] [--limit N]
                                        [--page FILE.md] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import machine
from suite_runs import by_mechanism, suite_run

from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.mechanisms.verdicts import DECIDED
from mmflow_bench.names import SUITES

PRECISIONS = ("float32", "bfloat16", "float16")
MODELS = ("planted/base", "planted/trained")
HEAD = """\
# Every verdict in half precision

Written by `python benchmarks/half_precision.py --page docs/half-precision.md`: what is said of the
same weights in three precisions. [What it means](performance.md#half-precision).
"""


def change(before: str, after: str) -> str:
    """What has become of a verdict."""
    if before == after:
        return "the same"
    if before in DECIDED and after in DECIDED:
        return "the opposite"
    return "left open" if before in DECIDED else "decided" if after in DECIDED else "another"


def compared(model: str, options: Sequence[str]) -> dict[str, Any]:
    """A checkpoint in every precision."""
    runs = {
        precision: suite_run(model, f"--model-args=dtype={precision}", *options)
        for precision in PRECISIONS
    }
    rows = {precision: by_mechanism(results) for precision, results in runs.items()}
    reference = rows["float32"]
    asked = [
        key
        for key in reference
        if any(own[key]["verdict"] != "not-applicable" for own in rows.values())
    ]
    return {
        "noise_floor": {precision: results["noise_floor"] for precision, results in runs.items()},
        "of_float32": {
            precision: dict(
                Counter(change(reference[key]["verdict"], own[key]["verdict"]) for key in asked)
            )
            for precision, own in rows.items()
            if precision != "float32"
        },
        "rows": [
            {
                "id": key[0],
                "task": key[1],
                "unit": reference[key]["unit"],
                **{
                    precision: {name: own[key][name] for name in ("estimate", "verdict")}
                    for precision, own in rows.items()
                },
            }
            for key in asked
        ],
    }


def page(models: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole of it, as tables for each checkpoint."""
    lines = (line for name, found in models.items() for line in section(name, found))
    return "\n".join([HEAD, *lines])


def section(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{len(found['rows'])} verdicts.\n"
    yield f"| | {' | '.join(PRECISIONS)} |"
    yield "|---|" + "---|" * len(PRECISIONS)
    floors = (f"{found['noise_floor'][precision]:.1e}" for precision in PRECISIONS)
    yield f"| noise floor | {' | '.join(floors)} |"
    for what in ("the same", "left open", "decided", "the opposite", "another"):
        counts = [found["of_float32"][precision].get(what, 0) for precision in PRECISIONS[1:]]
        yield f"| verdicts: {what} | | {' | '.join(map(str, counts))} |"
    yield ""
    yield f"| mechanism | task | {' | '.join(PRECISIONS)} |"
    yield "|---|---|" + "---|" * len(PRECISIONS)
    for row in found["rows"]:
        cells = [
            f"{formatted(row[precision]['estimate'], row['unit'], is_aligned=True)} "
            f"{row[precision]['verdict']}".strip()
            for precision in PRECISIONS
        ]
        yield f"| {row['id']} | {row['task']} | {' | '.join(cells)} |"
    yield ""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--model", action="append", help=f"(default: {', '.join(MODELS)})")
    options.add_argument("--suite", choices=SUITES, default="core")
    options.add_argument("--tasks", help="comma-separated; all when left out")
    options.add_argument("--limit", type=int, help="images of each task")
    options.add_argument("--page", type=Path, help="write the tables as Markdown")
    options.add_argument("--output", type=Path, help="write the numbers as JSON")
    asked = options.parse_args()
    chosen = [f"--suite={asked.suite}", "--no-twins", "--gate=none"]
    chosen += [f"--tasks={asked.tasks}"] if asked.tasks else []
    chosen += [f"--limit={asked.limit}"] if asked.limit else []
    models = {name: compared(name, chosen) for name in asked.model or MODELS}
    tables = page(models)
    print(tables)
    if asked.page:
        asked.page.write_text(tables, encoding="utf-8")
    if asked.output:
        text = json.dumps({"machine": machine(), "options": chosen, "models": models}, indent=2)
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
