"""`mmflow info`: what a bug report should say."""

from __future__ import annotations

import json

import click

from mmflow_bench.checkpoints.hardware import hardware
from mmflow_bench.checkpoints.settings import resolve_device
from mmflow_bench.cli.saying import say, say_json
from mmflow_bench.measurements.settings import default_cache
from mmflow_bench.runs.results import environment
from mmflow_bench.store.address import local_folder


@click.command()
@click.option("--json", "is_json", is_flag=True, help="As JSON.")
def info(is_json: bool) -> None:
    """Show versions, device and store."""
    store = default_cache()
    files = local_folder(store).rglob("*")
    size = sum(path.stat().st_size for path in files if path.is_file())
    about = {
        **environment(),
        "device": resolve_device("auto"),
        **hardware(),
        "store": str(store),
        "store_megabytes": round(size / 1e6, 1),
    }
    if is_json:
        say_json(json.dumps(about, indent=1))
        return
    for name, value in about.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {text}" for key, text in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value)) or "none"
        say(f"{name.replace('_', ' '):<16} {value}")
