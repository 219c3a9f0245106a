"""`mmflow bless`: a run becomes the baseline of its checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from mmflow_bench.baselines.blessing import bless as make_baseline


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--baselines",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("baselines"),
    show_default=True,
    help="Folder of baselines.",
)
@click.option("--name", help="Of the baseline; that of the checkpoint when left out.")
@click.option("--allow-limited", is_flag=True, help="Also a run with --limit, which stays stamped.")
def bless(run: Path, root: Path, name: str | None, allow_limited: bool) -> None:
    """Write baselines/NAME from a run folder: verdicts as JSON, values of samples as Parquet.

    Commit it, or upload it as a data set: `--baseline=NAME`, `--baseline=FOLDER` and
    `--baseline=hub:OWNER/NAME` compare later runs with it.
    """
    folder = make_baseline(run, root, name=name, allow_limited=allow_limited)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    click.echo(f"baseline: {folder} ({size / 1024:.0f} KiB)")
