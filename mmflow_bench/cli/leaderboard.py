"""`mmflow leaderboard`: many runs as one site."""

from __future__ import annotations

from pathlib import Path

import click

from mmflow_bench.reports.leaderboard import write_leaderboard
from mmflow_bench.reports.leaderboard.exports import HUB_BENCHMARK


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("site"),
    show_default=True,
    help="Folder of the site.",
)
@click.option("--latest", is_flag=True, help="Of several runs of a checkpoint take the newest.")
@click.option(
    "--hub-benchmark",
    metavar="OWNER/NAME",
    default=HUB_BENCHMARK,
    help="Data set that the .eval_results files are for.",
)
def leaderboard(runs: tuple[Path, ...], output: Path, latest: bool, hub_benchmark: str) -> None:
    """Checkpoints against mechanisms, from run folders, as pages that need no server.

    Beside the pages lie index.json, and each checkpoint's results in the format of Every Eval Ever
    and as .eval_results of the Hugging Face hub. Nothing is uploaded.
    """
    page = write_leaderboard(runs, output, latest=latest, benchmark=hub_benchmark)
    click.echo(f"leaderboard: {page}")
