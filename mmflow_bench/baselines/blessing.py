"""From a run to a baseline that can be committed or shared: golden verdicts and values of samples.

    baselines/my_llava/test_edges_into_last.json   verdicts, as --snapshot-update writes them
    baselines/my_llava/values/results.json         which experiment it was
    baselines/my_llava/values/*.parquet            what a paired comparison needs

A folder like this may be committed, copied, or uploaded as a data set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmflow_bench.baselines.golden import Entries, baseline_file, change_entries, entry_of
from mmflow_bench.baselines.sources import VALUES, refuse_incomplete
from mmflow_bench.errors import BaselineError
from mmflow_bench.files import refusing, replace_file, replacing
from mmflow_bench.runs.checked_tables import checked_table
from mmflow_bench.runs.folder import ANSWERS, LENS, RESULTS, SAMPLES
from mmflow_bench.runs.reading import RunRecord, named_by_user, read_run
from mmflow_bench.runs.results import Results
from mmflow_bench.runs.rows import ALL, MechanismRow, fields_in

KEPT = (SAMPLES, ANSWERS, LENS)
"""Tables of a run that a comparison reads."""
# A run folder may be somebody else's: what it says must not name a place outside of the baselines.
_FILE_NAME = re.compile(r"\.*[\w-][\w.-]*")


def bless(
    run: Path,
    root: Path,
    *,
    name: str | None = None,
    allow_limited: bool = False,
    allow_incomplete: bool = False,
) -> Path:
    """Make a run the baseline of its checkpoint.

    Args:
        run: The run folder.
        root: Folder of baselines.
        name: Of the baseline; that of the checkpoint when None.
        allow_limited: Whether a run of a part of the samples may become one; it stays stamped.
        allow_incomplete: Whether a run that has ended early may; it stays stamped too.

    Returns:
        The folder of the baseline.

    Raises:
        BaselineError: There is no finished run, it was limited, its name is no folder's, or the
            folder cannot be written.
    """
    record = _finished(run)
    if not allow_incomplete:
        refuse_incomplete(run, record.results.incomplete)
    limit = record.results.settings.get("limit")
    if limit and not allow_limited:
        raise BaselineError(
            f"a run of all samples, got one with --limit={limit} ({run}); a part of the samples "
            "decides less than every later run asks. --allow-limited makes it a stamped baseline, "
            "for runs with the same --limit only"
        )
    slug = name or record.rows[0].model
    if not _FILE_NAME.fullmatch(slug):
        raise BaselineError(
            f"the name of one folder, of letters, digits, `_`, `-` and `.`, got {slug!r} ({run}); "
            "give one with --name"
        )
    folder = root / slug
    # Read before anything is written: a damaged table must not leave half a baseline.
    tables = _tables(record)
    with refusing(BaselineError, "a folder for baselines that can be written", folder):
        _write_verdicts(root, slug, record.rows, record.results.settings.get("conditions") or {})
        _write_values(record.results, tables, folder / VALUES)
    return folder


def _finished(run: Path) -> RunRecord:
    expected = f"a finished run with {RESULTS}"
    with named_by_user(BaselineError, expected, run, listed="them"):
        record = read_run(run)
    if not record.rows:
        raise BaselineError(
            f"{expected}, got one without a mechanism ({run}); `mmflow ls runs` lists them"
        )
    return record


def _write_verdicts(
    root: Path, slug: str, rows: Sequence[MechanismRow], conditions: dict[str, str]
) -> None:
    modules: dict[str, Entries] = {}
    for row in rows:
        module, name = _place(row.test, slug)
        if not _FILE_NAME.fullmatch(module):
            raise BaselineError(
                f"rows of tests in files, by letters, digits, `_`, `-` and `.`, got {row.test!r} "
                f"({row.id}); bless the run folder itself, not what was made of one"
            )
        asked = conditions.get("all" if row.task == ALL else "task", "")
        modules.setdefault(module, {})[name] = entry_of(row, conditions=asked)
    for module, entries in modules.items():
        file = baseline_file(root, slug, module)
        change_entries(file, partial(_with, entries))


def _with(new: Entries, known: Entries) -> Entries:
    return known | new


def _place(test: str, slug: str) -> tuple[str, str]:
    """Module and name of a test without its checkpoint, as the syrupy extension spells them.

    >>> _place("suites/test_a.py::test_drops[planted_base-ChooseAttr]", "planted_base")
    ('test_a', 'test_drops[ChooseAttr]')
    """
    path, _, rest = test.partition("::")
    name = rest.replace("::", ".")
    first = name.partition("[")[2].removesuffix("]").split("-")[0] or slug
    name = name.replace(f"[{first}]", "", 1).replace(f"[{first}-", "[", 1)
    return PurePosixPath(path).stem, name


def _tables(record: RunRecord) -> dict[str, pa.Table]:
    window = record.results.experiment.get("window")
    paths = [record.folder / name for name in KEPT]
    return {path.name: _compared(path, window) for path in paths if path.is_file()}


def _write_values(results: Results, tables: Mapping[str, pa.Table], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        # What an earlier blessing left must not stand beside the results of this one.
        (folder / name).unlink(missing_ok=True)
        if name in tables:
            with replacing(folder / name) as temporary:
                pq.write_table(tables[name], temporary, compression="zstd")
    text = json.dumps(_shared(results), indent=1, sort_keys=True, allow_nan=False)
    replace_file(folder / RESULTS, text + "\n")


def _shared(results: Results) -> dict[str, object]:
    """The results without what says where they were made: a baseline is committed."""
    shared = results.model_dump(mode="json")
    settings, checkpoint, data = shared["settings"], shared["checkpoint"], shared["data"]
    for name in ("questions", "images"):
        settings[name] = Path(settings[name]).name if settings.get(name) else None
    shared["environment"].pop("executable", None)
    is_path = checkpoint["source"].startswith(("/", "~", "."))
    if is_path:
        checkpoint |= {name: Path(checkpoint[name]).name for name in ("source", "name")}
    if is_path or "/" in data["name"]:
        data["name"] = Path(data["name"]).name
    # The rest of a mechanism is in the golden verdicts.
    kept = fields_in("blessed")
    shared["mechanisms"] = [{name: row[name] for name in kept} for row in shared["mechanisms"]]
    return shared


def _compared(path: Path, window: int | None) -> pa.Table:
    """What a comparison reads: masked knockouts at the run's own window, in single precision."""
    table = checked_table(path)
    if path.name == SAMPLES:
        table = table.filter(pc.equal(table["method"], "masked"))
        if window is not None:
            table = table.filter(pc.equal(table["window"], window))
    for name in {"relative_change", "probability"} & set(table.column_names):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.list_(pa.float32())))
    return table
