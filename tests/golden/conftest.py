"""Goldens: what users saw of an earlier version, which a later one must show them still.

`golden(name, lines)` compares with expected/NAME.jsonl, numbers within a tolerance since processors
differ. After a change that is meant, `MMFLOW_REWRITE_GOLDENS=1 pytest tests/golden` writes the
files (and the store) anew, to be read as a diff before they are committed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from forked import run_module
from printed import TOLERANCE, says_the_same

from mmflow_bench.cli.main import main

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REWRITE = bool(os.environ.get("MMFLOW_REWRITE_GOLDENS"))
HASH = re.compile(r"(?<![\w.])[0-9a-f]{16}\b")
CLOSING = re.compile(r"\d+ [a-z][a-z -]+(: |$)|baseline: |not comparable: |gate \(|no verdict: ")
TELLING = re.compile(
    r"ERROR: |_pytest.outcomes.Exit: |no verdict: |gate \(|mmflow: -|\d+ (verdicts?|compared): "
)
"""How lines begin that say what went wrong."""
REWORDED = {"seconds", "statement", "section", "citation"}
"""Fields of a mechanism that vary, or that are prose."""
KEYS = ("id", "task", "reading", "verdict")
VERSIONED = ("versions", "instrument", "checkpoint")
"""Parts of a store's identity that another version may have otherwise."""
STORE = HERE / "store"
Lines = list[dict[str, Any]]


@dataclass
class Run:
    """A run of pytest that has ended, and the folder that it has left, if any."""

    code: int
    output: str
    folder: Path | None
    places: dict[str, str] = field(default_factory=dict)

    def lines(self, without_rows: bool = False) -> Lines:
        """How the run ended, then one line per mechanism, then one per compared number.

        Args:
            without_rows: Only how it ended, with the verdict of each compared number.
        """
        assert self.folder is not None, self.output
        results = json.loads(plain((self.folder / "results.json").read_text(), self.places))
        experiment = results["experiment"]
        experiment.pop("pixels", None)  # of floats, which may differ in the last bit
        head = {
            "exit": self.code,
            "closing": self.closing(),
            "data": results["data"],
            "summary": results["summary"],
            "self_test": {check["name"]: check["passed"] for check in results["self_test"]},
            "settings": sorted(results["settings"]),
            "experiment": experiment,
            "errors": results["errors"],
        }
        rows = [told(row, without=REWORDED) for row in results["mechanisms"]]
        path = self.folder / "comparison.json"
        compared = _compared(path.read_text()) if path.exists() else []
        if without_rows:
            verdicts = [" ".join(line["compared"][k] for k in KEYS) for line in compared[1:]]
            return [head, *compared[:1], {"verdicts": verdicts}]
        return [head, *rows, *compared]

    def closing(self) -> list[str]:
        """What the run says below its tables: counts, baselines, and the gate."""
        lines = plain(self.output, self.places).splitlines()
        return [line for line in lines if CLOSING.match(line)]

    def said(self) -> list[str]:
        """The lines that say what is wrong."""
        lines = (line.strip("! ") for line in plain(self.output, self.places).splitlines())
        return [line for line in lines if TELLING.match(line)]


def told(row: dict[str, Any], without: set[str] = frozenset()) -> dict[str, Any]:
    """What a row says, without what it leaves empty."""
    return {k: v for k, v in row.items() if k not in without and v not in ("", None, [], {})}


def _compared(text: str) -> Lines:
    """Of a comparison.json: what it says of all, then one line per row."""
    content = json.loads(text)
    rows = [{"compared": told(row)} for row in content.pop("rows")]
    return [{"comparison": told(content, without={"base", "name", "source"})}, *rows]


def plain(text: str, places: dict[str, str]) -> str:
    """The text without what differs from one machine and run to the next."""
    for place, name in sorted(places.items(), key=lambda item: -len(item[0])):
        text = text.replace(place, name)
    # How many runs came before depends on which tests a worker was given.
    text = re.sub(r"<tmp>/runs/\d+/", "<tmp>/runs/<n>/", text)
    return re.sub(r"\d{8}T\d{6}Z-([\w.-]+)-[0-9a-f]{8}", r"<time>-\1-<id>", text)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the whole session.

    The runs share one store, the tables another: a run tells of every edge that its store has
    tried on its samples, so that a golden must not depend on which tests went before.
    """
    return tmp_path_factory.mktemp("golden")


@pytest.fixture(scope="session")
def places(folder: Path) -> dict[str, str]:
    return {str(folder): "<tmp>", str(ROOT): "<root>", str(Path.home()): "<home>"}


@pytest.fixture(scope="session")
def run_pytest(folder: Path, places: dict[str, str]) -> Callable[..., Run]:
    """`run_pytest(*arguments, cwd=ROOT)` in a process of its own, once for the same arguments."""
    ended: dict[Any, Run] = {}
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("MMFLOW_", "PYTEST_", "GITHUB"))
    }
    environment = kept | {
        "MMFLOW_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "builders"))),
    }

    def run(*arguments: str, cwd: Path = ROOT) -> Run:
        if (arguments, cwd) not in ended:
            output = folder / "runs" / str(len(ended))
            own = ("-p", "no:cacheprovider", f"--mmflow-output={output}")
            done = run_module("pytest", [*own, *arguments], cwd=cwd, env=environment)
            found = next(output.glob("*/"), None)
            ended[arguments, cwd] = Run(done.returncode, done.stdout + done.stderr, found, places)
        return ended[arguments, cwd]

    return run


@pytest.fixture
def run_mmflow(folder: Path, places: dict[str, str], monkeypatch) -> Callable[..., dict[str, Any]]:
    """`run_mmflow(*arguments)` in this process: each start costs five seconds."""
    monkeypatch.chdir(folder)

    def run(*arguments: str, cache: Path = folder / "tables") -> dict[str, Any]:
        environment = {"MMFLOW_CACHE": str(cache), "COLUMNS": "100"}
        done = CliRunner().invoke(main, arguments, env=environment, prog_name="mmflow")
        # What a process would end with a traceback on.
        if not isinstance(done.exception, SystemExit | None):
            raise done.exception
        said = {"exit": done.exit_code, "out": done.stdout, "err": done.stderr}
        # Hashes of pixels may differ where the last bit of a float does.
        return {
            k: HASH.sub("<hash>", plain(v, places)) if isinstance(v, str) else v
            for k, v in said.items()
        }

    return run


@pytest.fixture
def stored(tmp_path: Path, run_mmflow: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """`stored(*measure)`: a cache with the committed store, filed as this environment files it.

    Args:
        measure: Commands that measure all that is in the store; run only to write it anew.
    """

    def cache(*measure: tuple[str, ...]) -> Path:
        cache = tmp_path / "cache"
        first = (*measure[0], "--limit=1", f"--output={tmp_path / 'table.csv'}")
        for command in measure if REWRITE else [first]:
            assert run_mmflow(*command, cache=cache)["exit"] == 0
        (found,) = (path for path in cache.iterdir() if path.is_dir())
        if REWRITE:
            shutil.rmtree(STORE, ignore_errors=True)
            STORE.mkdir()
            for path in (*found.glob("*.json"), *found.glob("*.parquet")):
                shutil.copy(path, STORE)
                _without_seal(STORE / path.name)
        identity = json.loads((found / "identity.json").read_text())
        assert found.name == _key(identity)
        # Versions and the planted checkpoint's source code are in it, and go on changing.
        known = json.loads((STORE / "identity.json").read_text())
        assert identity | {name: known[name] for name in VERSIONED} == known
        # Without its mark it is one of the version that the committed files are of: without seals.
        for path in [*found.glob("*.parquet"), *found.glob("*/*.parquet"), found / "sealed"]:
            path.unlink()
        for path in STORE.glob("*"):
            if path.name != "identity.json":
                shutil.copy(path, found)
        return cache

    return cache


def _without_seal(path: Path) -> None:
    """A seal says which store a file is of; the committed one is filed anew in every test."""
    if path.suffix == ".json":
        kept = {k: v for k, v in json.loads(path.read_text()).items() if k != "mmflow-seal"}
        path.write_text(json.dumps(kept, indent=1, sort_keys=True))
    else:
        pq.write_table(pq.read_table(path).replace_schema_metadata(), path)


def _key(identity: dict[str, Any]) -> str:
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:24]


@pytest.fixture
def comparison_lines() -> Callable[[str], Lines]:
    return _compared


@pytest.fixture
def read_table() -> Callable[..., Lines]:
    return table_lines


def table_lines(path: Path) -> Lines:
    """Columns and number of rows of a CSV table, then one line per edge, or per probe and variant.

    A line has the mean over samples of the probability at each layer, the mean of every other
    number, and the different texts of every other column.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    groups: dict[tuple[str, ...], Lines] = {}
    names = [name for name in ("task", "edge", "probe", "variant") if name in rows[0]]
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    samples = sorted({f"{row['question_id']} of {row['image_id']}" for row in rows})
    head = {"columns": list(rows[0]), "rows": len(rows), "samples": samples}
    return [head, *map(_group_line, groups.values())]


def _group_line(rows: Lines) -> dict[str, Any]:
    curve = "knockout_probability" if "knockout_probability" in rows[0] else "probability"
    layers: dict[int, list[float]] = {}
    for row in rows:
        layers.setdefault(int(row["layer"]), []).append(float(row[curve]))
    line: dict[str, Any] = {}
    for name in rows[0].keys() - {"layer", "question_id", "image_id", curve}:
        try:
            line[name] = _mean([float(row[name]) for row in rows])
        except ValueError:
            line[name] = sorted({row[name] for row in rows})
    return dict(sorted(line.items())) | {curve: [_mean(layers[layer]) for layer in sorted(layers)]}


def _mean(numbers: list[float]) -> float:
    return math.fsum(numbers) / len(numbers)


@pytest.fixture(scope="session")
def golden() -> Callable[[str, Lines], None]:
    """`golden(name, lines)`: the lines are those of expected/NAME.jsonl."""

    def check(name: str, lines: Lines) -> None:
        path = HERE / "expected" / f"{name}.jsonl"
        found = [_rounded(line) for line in lines]
        if REWRITE:
            dumped = (json.dumps(x, separators=(",", ":"), ensure_ascii=False) for x in found)
            path.write_text("".join(f"{line}\n" for line in dumped), encoding="utf-8")
        text = path.read_text(encoding="utf-8")
        expected = [json.loads(line) for line in text.split("\n")[:-1]]
        differences = list(_differences(name, expected, found))
        shown = "\n".join(differences[:20])
        assert not differences, f"{len(differences)} differences, golden -> now:\n{shown}"

    return check


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(float(f"{value:.4g}"), 6) + 0.0  # no -0.0
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


def _differences(where: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(new.keys() - old.keys())]:
            yield from _differences(f"{where}.{key}", old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{where}: {len(old)} -> {len(new)} entries"
        for i, (a, b) in enumerate(zip(old, new, strict=False)):
            yield from _differences(f"{where}[{i}]", a, b)
    elif not _alike(old, new):
        yield f"{where}: {old!r} -> {new!r}"


def _alike(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float | int):
        return math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(old, str) and isinstance(new, str):
        return says_the_same(old, new)
    return bool(old == new)
