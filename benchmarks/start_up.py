"""How long it takes until something is seen: commands, collection, the first verdict.

Each is a process of its own, as a user starts it: `mmflow ls models`, pytest's collection of the
suites, and the first verdict on a checkpoint of which nothing is known yet, whose weights are
written, loaded, and proved on two samples before anything is claimed.

    python benchmarks/start_up.py [--repeats 3] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

FIRST = ("--tasks=ChooseAttr", "--limit=1", "--mechanisms=q-last-drop", "--gate=none")
COMMANDS = {
    "mmflow --help": ("mmflow_bench", "--help"),
    "mmflow ls models": ("mmflow_bench", "ls", "models"),
    "pytest --collect-only suites/": ("pytest", "suites/", "--collect-only", "-q"),
    "first verdict, planted/mini": ("pytest", "suites/", "--model=planted/mini", *FIRST),
    "first verdict, planted/base": ("pytest", "suites/", "--model=planted/base", *FIRST),
}


def seconds(module: str, *arguments: str) -> float:
    """Wall time, with nothing in the store."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", module, *arguments]
        began = time.perf_counter()
        subprocess.run(
            [*command, f"--mmflow-output={cache}/runs"] if "suites/" in arguments else command,
            env=os.environ | {"MMFLOW_CACHE": cache},
            cwd=Path(__file__).parents[1],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - began


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--output", type=Path, help="write the numbers as JSON")
    asked = options.parse_args()
    found = {}
    for name, command in COMMANDS.items():
        found[name] = statistics.median(seconds(*command) for _ in range(asked.repeats))
        print(f"{found[name]:5.1f} s  {name}", flush=True)
    if asked.output:
        told = {"machine": machine(), "seconds": found}
        asked.output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
