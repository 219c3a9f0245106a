"""Commands in processes of their own that start with what earlier ones have imported.

Half of a short command's time is imports, of torch and transformers above all. So a server runs
each command in a fork of itself, and then imports what the command did: other people's modules
only, and none that bring a pytest plugin, which pytest must import itself.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

# Plugins of other people's packages that take seconds to say nothing.
WITHOUT_PLUGINS = "-p no:hypothesispytest -p no:anyio"
OWN = (
    "mmflow_bench",
    "suites",
    "tests",
    "conftest",
    "__main__",
    "__mp_main__",
    "forked",
    "pytest",
    "_pytest",
)


def run_module(
    module: str,
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """What `python -m MODULE ARGUMENTS` would do, with standard input at its end."""
    environment = {"PYTEST_ADDOPTS": WITHOUT_PLUGINS} | dict(os.environ if env is None else env)
    with tempfile.TemporaryDirectory() as place:
        request = {
            "module": module,
            "arguments": [*map(str, arguments)],
            "cwd": str(cwd or Path.cwd()),
            "env": environment,
            "place": place,
        }
        code = _server().ask(request)
        out, err = (Path(place, name).read_text(errors="replace") for name in ("out", "err"))
    return subprocess.CompletedProcess([module, *arguments], code, out, err)


class _Server:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # More threads than one do not survive a fork.
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        atexit.register(self._process.kill)

    def ask(self, request: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the server of forked commands has ended"
        return int(answer)


@cache
def _server() -> _Server:
    return _Server()


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    # What an import prints is no answer.
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            _run(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
        names = Path(request["place"], "imported")
        with suppress(FileNotFoundError):
            _import(names.read_text().split())


def _run(request: dict) -> None:
    place, arguments = Path(request["place"]), request["arguments"]
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = [request["module"], *arguments]
    # As `python -m` has it: the folder, then what PYTHONPATH names.
    named = request["env"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [request["cwd"], *filter(None, named)]
    code = _ended(request["module"])
    # Before the answer: the server reads it after.
    (place / "imported").write_text("\n".join(sys.modules))
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _ended(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        if ending.code is None or isinstance(ending.code, int):
            return ending.code or 0
        print(ending.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _import(names: Sequence[str]) -> None:
    for name in names:
        is_new = name not in sys.modules and "__main__" not in name
        if is_new and name.partition(".")[0] not in _left_to_pytest():
            # Some modules are made up by those that they seem to be part of.
            with suppress(Exception):
                importlib.import_module(name)


@cache
def _left_to_pytest() -> frozenset[str]:
    """Top-level names of this project and of everything that brings a pytest plugin."""
    plugins = {one.dist.name for one in entry_points(group="pytest11") if one.dist}
    packages = packages_distributions().items()
    return frozenset(OWN) | {name for name, owners in packages if plugins & set(owners)}


if __name__ == "__main__":
    _serve()
