"""From a run to a baseline that can be committed or shared: golden verdicts and values of samples.

    baselines/my_llava/test_sec5_edges_into_last.json   verdicts, as --snapshot-update writes them
    baselines/my_llava/values/results.json            which experiment it was
    baselines/my_llava/values/*.parquet               what a paired comparison needs

A folder like this may be committed, copied, or uploaded as a data set.
"""

from __future__ import annotations

import json
import os
import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mmflow_bench.baselines.entries import entry
from mmflow_bench.baselines.files import Entries, baseline_file, change_entries
from mmflow_bench.baselines.sources import VALUES
from mmflow_bench.baselines.values import ANSWERS, LENS, RESULTS, SAMPLES
from mmflow_bench.errors import BaselineError

if TYPE_CHECKING:
    import pyarrow as pa

_MECHANISMS = "mechanisms.parquet"
_KEPT = (
    *("id", "task", "verdict", "expected", "outcome", "section"),
    *("estimate", "low", "high", "unit", "n"),
)
"""Of each mechanism in values/results.json; the rest is in the golden verdicts."""


def bless(run: Path, root: Path, *, name: str | None = None, allow_limited: bool = False) -> Path:
    """Make a run the baseline of its checkpoint.

    Args:
        run: The run folder.
        root: Folder of baselines.
        name: Of the baseline; that of the checkpoint when None.
        allow_limited: Whether a run of a part of the samples may become one; it stays stamped.

    Returns:
        The folder of the baseline.

    Raises:
        BaselineError: There is no finished run, it was limited, its name is no folder's, or the
            folder cannot be written.
    """
    results = _results(run)
    limit = results["settings"].get("limit")
    if limit and not allow_limited:
        raise BaselineError(
            f"a run of all samples, got one with --limit={limit} ({run}); a part of the samples "
            "decides less than every later run asks. --allow-limited makes it a stamped baseline, "
            "for runs with the same --limit only"
        )
    slug = name or _slug(run, results)
    # A run folder may be somebody else's: what it says must not name a place outside of `root`.
    if not re.fullmatch(r"\.*[\w-][\w.-]*", slug):
        raise BaselineError(
            f"the name of one folder, of letters, digits, `_`, `-` and `.`, got {slug!r} ({run}); "
            "give one with --name"
        )
    try:
        _write_verdicts(root, slug, results)
        _write_values(run, root / slug / VALUES, results)
    except OSError as error:
        raise BaselineError(
            f"a folder for baselines that can be written, got {error.strerror or error} "
            f"({root / slug})"
        ) from error
    return root / slug


def _results(run: Path) -> dict[str, Any]:
    try:
        results = dict(json.loads((run / RESULTS).read_text(encoding="utf-8")))
        _ = results["settings"], results["checkpoint"]["name"], results["mechanisms"][0]
        return results
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BaselineError(
            f"a finished run with {RESULTS}, got {error!r} ({run}); `mmflow ls runs` lists them"
        ) from error


def _slug(run: Path, results: dict[str, Any]) -> str:
    import pyarrow.parquet as pq

    if (run / _MECHANISMS).is_file():
        return str(pq.read_table(run / _MECHANISMS, columns=["model"])["model"][0])
    return str(results["checkpoint"]["name"]).strip("/").replace("/", "_")


def _write_verdicts(root: Path, slug: str, results: dict[str, Any]) -> None:
    conditions = results["settings"].get("conditions") or {}
    modules: dict[str, dict[str, Any]] = {}
    for row in results["mechanisms"]:
        module, name = _place(row["test"], slug)
        said = conditions.get("all" if row["task"] == "all" else "task", "")
        numbers = {key: row.get(key) for key in ("estimate", "low", "high", "n")}
        modules.setdefault(module, {})[name] = entry(
            mechanism=row["id"],
            task=row["task"],
            conditions=said,
            verdict=row["verdict"],
            unit=row["unit"],
            threshold=row["threshold"],
            **numbers,
        )
    for module, entries in modules.items():
        change_entries(baseline_file(root, slug, module), partial(_merged, entries))


def _merged(new: Entries, known: Entries) -> Entries:
    return {**known, **new}


def _place(test: str, slug: str) -> tuple[str, str]:
    """Module and name of a test without its checkpoint, as the syrupy extension spells them.

    >>> _place("suites/test_sec5.py::test_drops[planted_base-ChooseAttr]", "planted_base")
    ('test_sec5', 'test_drops[ChooseAttr]')
    """
    path, _, rest = test.partition("::")
    name = rest.replace("::", ".")
    first = name.partition("[")[2].removesuffix("]").split("-")[0] or slug
    name = name.replace(f"[{first}]", "", 1).replace(f"[{first}-", "[", 1)
    return PurePosixPath(path).stem, name


def _write_values(run: Path, folder: Path, results: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    window = (results.get("experiment") or {}).get("window")
    for name in (SAMPLES, ANSWERS, LENS):
        (folder / name).unlink(missing_ok=True)
        if (run / name).is_file():
            _write_table(_kept(run / name, window), folder / name)
    temporary = folder / f".{RESULTS}.{os.getpid()}.tmp"
    text = json.dumps(_shared(results), indent=1, sort_keys=True, allow_nan=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, folder / RESULTS)


def _shared(results: dict[str, Any]) -> dict[str, Any]:
    """The results without what says where they were made: a baseline is committed."""
    settings = dict(results["settings"])
    for name in ("questions", "images"):
        settings[name] = Path(settings[name]).name if settings.get(name) else None
    environment = {k: v for k, v in results["environment"].items() if k != "executable"}
    source = str(results["checkpoint"].get("source", ""))
    is_path = source.startswith(("/", "~", "."))
    checkpoint = results["checkpoint"] | {"source": Path(source).name if is_path else source}
    checkpoint["name"] = Path(checkpoint["name"]).name if is_path else checkpoint["name"]
    data = dict(results["data"])
    if is_path or "/" in str(data.get("name", "")):
        data["name"] = Path(str(data.get("name", ""))).name
    rows = [{name: row[name] for name in _KEPT if name in row} for row in results["mechanisms"]]
    return results | {
        "mechanisms": rows,
        "settings": settings,
        "environment": environment,
        "checkpoint": checkpoint,
        "data": data,
    }


def _kept(path: Path, window: int | None) -> pa.Table:
    """What a comparison reads: masked knockouts at the run's own window, in single precision."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    if path.name == SAMPLES:
        table = table.filter(pc.equal(table["method"], "masked"))
        if window is not None:
            table = table.filter(pc.equal(table["window"], window))
    single = {"relative_change", "probability"} & set(table.column_names)
    for name in single:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.list_(pa.float32())))
    return table


def _write_table(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary, compression="zstd")
    os.replace(temporary, path)
