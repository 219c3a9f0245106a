"""`mmflow ls`: what there is, at once; nothing here may import torch or numpy.

Each listing imports for itself what it lists, so that none waits for another's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from mmflow_bench.cli.saying import say_json
from mmflow_bench.names import SUITES, Suite, is_wanted
from mmflow_bench.reports.columns import Column, printed, table
from mmflow_bench.reports.escaping import printable
from mmflow_bench.runs.folder import RESULTS, results_json

Row = dict[str, object]
_ANY_WIDTH = 1_000_000
"""A listing is for grep and cut as well: no cell is cut, however wide the terminal."""


@click.group()
def ls() -> None:
    """List models, tasks, mechanisms, runs or baselines."""


def _listed(rows: Callable[..., Sequence[Row]]) -> Callable[..., None]:
    """A command that prints rows, as text or as JSON."""

    @wraps(rows)
    def command(is_json: bool, **given: object) -> None:
        found = rows(**given)
        if is_json:
            say_json(json.dumps(found, indent=1))
        else:
            click.echo(aligned(found))

    as_json = click.option("--json", "is_json", is_flag=True, help="As JSON.")
    offered: Callable[..., None] = as_json(command)
    return offered


def aligned(rows: Sequence[Row]) -> str:
    if not rows:
        return "none"
    names = list(rows[0])
    cells = [names, *([printable(_text(row.get(name))) for name in names] for row in rows)]
    found = table([Column(name) for name in names], cells, width=_ANY_WIDTH, gap=2, indent=0)
    return printed([found], width=_ANY_WIDTH).rstrip("\n")


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@ls.command()
@_listed
def models() -> list[Row]:
    """Checkpoints that --model knows by name."""
    from mmflow_bench.checkpoints.default import DEFAULT_MODEL
    from mmflow_bench.checkpoints.registry import registered_models

    return [
        {
            "name": name,
            "default": "*" if name == DEFAULT_MODEL else "",
            "source": entry.source or name,
            "description": entry.description,
        }
        for name, entry in sorted(registered_models().items())
    ]


@ls.command()
@_listed
def tasks() -> list[Row]:
    """Question forms."""
    from mmflow_bench.inputs.question_sets import SHIPPED_COUNTS
    from mmflow_bench.inputs.samples import SIX_TASKS
    from mmflow_bench.mechanisms import declared

    known = declared.mechanisms(declared.shipped())
    return [
        {
            "name": task,
            "mechanisms": sum(task in one.tasks or "all" in one.tasks for one in known),
            **{f"--questions={name}": counts[task] for name, counts in SHIPPED_COUNTS.items()},
        }
        for task in SIX_TASKS
    ]


@ls.command(
    help="Mechanisms that SUITES declare, files of tests or folders of them; "
    "those that ship without."
)
@click.argument("suites", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--suite",
    type=click.Choice(SUITES),
    default=SUITES[-1],
    show_default=True,
    help="Those of one --suite of a run; the last also says which cannot be had, and why.",
)
@_listed
def mechanisms(suites: Sequence[Path], suite: Suite) -> list[Row]:
    from mmflow_bench.mechanisms import declared
    from mmflow_bench.mechanisms.catalogue import WITHOUT_A_TEST

    known = declared.mechanisms(declared.declared_in(suites) if suites else declared.shipped())
    rows: list[Row] = [
        {
            "id": one.id,
            "suite": one.suite,
            "section": one.section,
            "tier": one.tier,
            "tasks": list(one.tasks),
            "statement": one.statement,
        }
        for one in known
        if is_wanted(one.id, one.suite, patterns=(), chosen=suite)
    ]
    if suites or suite != SUITES[-1]:
        return rows
    nowhere = {"suite": "none", "section": "", "tier": "", "tasks": []}
    return rows + [
        {"id": name, **nowhere, "statement": f"cannot be had here: {why}"}
        for name, why in WITHOUT_A_TEST.items()
    ]


@ls.command()
@click.option(
    "--mmflow-output",
    "output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".mmflow") / "runs",
    help="Folder that run folders are in.",
)
@_listed
def runs(output: Path) -> list[Row]:
    """Run folders."""
    # Their names begin with the time, so the oldest comes first.
    return [_run_row(path.parent) for path in sorted(output.glob(f"*/{RESULTS}"))]


def _run_row(folder: Path) -> Row:
    try:
        results: Any = results_json(folder)
        mechanisms = list(results["mechanisms"])
        return {
            "run": folder.name,
            "model": str(results["checkpoint"]["name"]),
            "mechanisms": len(mechanisms),
            "complete": bool(results.get("complete", True)),
            # Counted, not read: this listing waits for no reader of the whole folder.
            "summary": dict(Counter(str(one["verdict"]) for one in mechanisms)),
        }
    except (ValueError, KeyError, TypeError):
        # One that is damaged must not hide the others.
        nothing = {"model": "unreadable", "mechanisms": 0, "complete": False, "summary": {}}
        return {"run": folder.name, **nothing}


@ls.command()
@_listed
def baselines() -> list[Row]:
    """Stored baselines."""
    from mmflow_bench.baselines.golden import packaged_root, read_entries
    from mmflow_bench.baselines.sources import VALUES, paper_baselines

    rows: dict[str, Row] = {}
    for root in (Path("baselines"), packaged_root()):
        for folder in sorted(path for path in root.glob("*") if path.is_dir()):
            entries = [one for path in folder.glob("*.json") for one in read_entries(path).values()]
            verdicts = [one.get("verdict") if isinstance(one, dict) else None for one in entries]
            row = _baseline_row(folder.name, verdicts, str(folder), (folder / VALUES).is_dir())
            # A baseline of one's own comes before that of the package, as in a run.
            rows.setdefault(folder.name, row)
    for source in paper_baselines():
        verdicts = [*source.verdicts.values()]
        rows[source.name] = _baseline_row(source.name, verdicts, source.origin, is_paired=False)
    return [row for row in rows.values() if row["mechanisms"]]


def _baseline_row(name: str, verdicts: Sequence[object], origin: str, is_paired: bool) -> Row:
    return {
        "model": name,
        "mechanisms": len(verdicts),
        "holds": list(verdicts).count("holds"),
        "paired": is_paired,
        "folder": origin,
    }
