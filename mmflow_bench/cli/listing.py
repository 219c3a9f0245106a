"""`mmflow ls`: what there is, at once; nothing here may import torch or numpy."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from mmflow_bench.baselines.golden_files import packaged_root, read_entries
from mmflow_bench.baselines.sources import VALUES, paper_baselines
from mmflow_bench.checkpoints.registry import DEFAULT_MODEL, registered_models
from mmflow_bench.inputs.question_sets import SHIPPED_COUNTS
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.mechanisms.declared import declared_in, mechanisms, shipped
from mmflow_bench.reports.columns import Column, printed, table
from mmflow_bench.reports.escaping import printable
from mmflow_bench.runs.folder import RESULTS, results_json

Row = dict[str, object]
_ANY_WIDTH = 1_000_000
"""A listing is for grep and cut as well: no cell is cut, however wide the terminal."""
Decorator = Callable[[Callable[..., None]], Callable[..., None]]


@click.group()
def ls() -> None:
    """List models, tasks, mechanisms, runs or baselines."""


def _listing(name: str, rows: Callable[..., Sequence[Row]], text: str, *more: Decorator) -> None:
    def command(is_json: bool, **options: object) -> None:
        found = rows(**options)
        click.echo(json.dumps(found, indent=1) if is_json else aligned(found))

    command.__doc__ = text
    offered: Callable[..., None] = command
    as_json: Decorator = click.option("--json", "is_json", is_flag=True, help="As JSON.")
    for option in (as_json, *more):
        offered = option(offered)
    ls.command(name)(offered)


def aligned(rows: Sequence[Row]) -> str:
    if not rows:
        return "none"
    names = list(rows[0])
    cells = [names, *([printable(_text(row.get(name))) for name in names] for row in rows)]
    found = table([Column(name) for name in names], cells, width=_ANY_WIDTH, gap=2, indent=0)
    return printed([found], width=_ANY_WIDTH).rstrip("\n")


def model_rows() -> list[Row]:
    return [
        {
            "name": name,
            "default": "*" if name == DEFAULT_MODEL else "",
            "source": str(getattr(entry, "source", "") or name),
            "description": str(getattr(entry, "description", "") or ""),
        }
        for name, entry in sorted(registered_models().items())
    ]


def task_rows() -> list[Row]:
    """The question forms, how many mechanisms look at each, and rows of the shipped sets."""
    known = mechanisms(shipped())
    return [
        {
            "name": task,
            "mechanisms": sum(task in one.tasks or "all" in one.tasks for one in known),
            **{f"--questions={name}": counts[task] for name, counts in SHIPPED_COUNTS.items()},
        }
        for task in SIX_TASKS
    ]


def mechanism_rows(suites: Sequence[Path] = ()) -> list[Row]:
    """What the tests in some files declare; those that ship without any."""
    return [
        {
            "id": mechanism.id,
            "section": mechanism.section,
            "tier": mechanism.tier,
            "tasks": list(mechanism.tasks),
            "statement": mechanism.statement,
        }
        for mechanism in mechanisms(declared_in(suites) if suites else shipped())
    ]


def run_rows(output: Path) -> list[Row]:
    """Finished runs, oldest first; a folder whose results cannot be read is listed as such."""
    return [_run_row(path.parent) for path in sorted(output.glob(f"*/{RESULTS}"))]


def baseline_rows() -> list[Row]:
    """Stored baselines of the current folder and of the package, and the paper's words."""
    rows: dict[str, Row] = {}
    for root in (Path("baselines"), packaged_root()):
        for folder in sorted(path for path in root.glob("*") if path.is_dir()):
            files = sorted(folder.glob("*.json"))
            entries = [entry for path in files for entry in read_entries(path).values()]
            verdicts = [entry.get("verdict") for entry in entries if isinstance(entry, dict)]
            row = {
                "model": folder.name,
                "mechanisms": len(entries),
                "holds": verdicts.count("holds"),
                "paired": (folder / VALUES).is_dir(),
                "folder": str(folder),
            }
            rows.setdefault(folder.name, row)
    for source in paper_baselines():
        rows[source.name] = {
            "model": source.name,
            "mechanisms": len(source.verdicts),
            "holds": [*source.verdicts.values()].count("holds"),
            "paired": False,
            "folder": source.origin,
        }
    return [row for row in rows.values() if row["mechanisms"]]


def _run_row(folder: Path) -> Row:
    try:
        results = results_json(folder)
        return {
            "run": folder.name,
            "model": results["checkpoint"]["name"],
            "mechanisms": len(results["mechanisms"]),
            "summary": results["summary"],
        }
    except (ValueError, KeyError, TypeError):
        return {"run": folder.name, "model": "unreadable", "mechanisms": 0, "summary": {}}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


_OUTPUT = click.option(
    "--mmflow-output",
    "output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".mmflow") / "runs",
    help="Folder that run folders are in.",
)
_listing("models", model_rows, "Checkpoints that --model knows by name.")
_listing("tasks", task_rows, "Question forms.")
_listing(
    "mechanisms",
    mechanism_rows,
    "Mechanisms that SUITES declare, files of tests or folders of them; those that ship without.",
    click.argument("suites", nargs=-1, type=click.Path(exists=True, path_type=Path)),
)
_listing("runs", run_rows, "Run folders.", _OUTPUT)
_listing("baselines", baseline_rows, "Stored baselines.")
