"""Golden verdicts: what is stored of a mechanism, and whether a later run still says the same.

One small JSON file per checkpoint and test module:

    baselines/planted_base/test_edges_into_last.json
    {"schema_version": 1, "baselines": {"test_question_to_last[ChooseAttr]": {...}, ...}}

Test names in it do not carry the checkpoint, so that a fine-tune's folder may start as a copy of
its base's. Conditions are compared first, then verdicts, then numbers with their tolerance.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

from mmflow_bench.errors import BaselineError
from mmflow_bench.files import read_json, refusing, replace_file
from mmflow_bench.runs.rows import VERDICTS, MechanismResult

SCHEMA_VERSION = 1
Entries = dict[str, object]
"""Name of a test -> what is stored of it, as JSON values."""

TOLERANCE = "tolerance"
CONDITIONS = "conditions"
INFORMATION = frozenset({TOLERANCE, CONDITIONS, "interval", "threshold", "mechanism", "task"})
"""Stored for a reader and never compared: an interval follows from the sample, not the model."""

ABSOLUTE, RELATIVE = 0.01, 0.05
"""Default tolerance of an estimate: one percentage point, or 5% of the value if that is more."""


class BaselineDrift(BaselineError):
    """A checkpoint does something else than its baseline says."""


def entry_of(row: MechanismResult, *, conditions: str) -> dict[str, object]:
    """What is stored of a row."""
    value = _rounded(row.estimate)
    return {
        "mechanism": row.id,
        "task": row.task,
        CONDITIONS: conditions,
        "verdict": row.verdict,
        "estimate": value,
        "interval": [_rounded(row.low), _rounded(row.high)],
        "unit": row.unit,
        "n": row.n,
        "threshold": row.threshold,
        TOLERANCE: default_tolerance(value),
    }


def default_tolerance(value: float | None) -> float:
    """How far an estimate may move before it counts as changed.

    >>> default_tolerance(-0.04), default_tolerance(0.6)
    (0.01, 0.03)
    """
    return round(max(ABSOLUTE, RELATIVE * abs(value or 0.0)), 4)


def are_comparable(received: object, stored: object) -> bool:
    """Whether both were measured on the same samples in the same way."""
    if not (isinstance(received, Mapping) and isinstance(stored, Mapping)):
        return True
    return bool(received.get(CONDITIONS) == stored.get(CONDITIONS))


def differences(
    received: object, stored: object, *, path: str = "", tolerance: float = 1e-9
) -> Iterator[str]:
    """One line for each value that differs from the stored one by more than its tolerance.

    A `tolerance` stored beside numbers holds for them; other values must be equal.

    >>> list(differences({"peak": -0.30}, {"peak": -0.36, "tolerance": 0.05}))
    ['peak: baseline -0.36, received -0.3 (tolerance 0.05)']
    """
    if isinstance(received, Mapping) and isinstance(stored, Mapping):
        tolerance = float(stored.get(TOLERANCE, tolerance))
        for key in sorted((received.keys() | stored.keys()) - INFORMATION):
            name = f"{path}.{key}" if path else str(key)
            pair = received.get(key), stored.get(key)
            yield from differences(*pair, path=name, tolerance=tolerance)
    elif isinstance(received, list) and isinstance(stored, list) and len(received) == len(stored):
        for i, pair in enumerate(zip(received, stored, strict=True)):
            yield from differences(*pair, path=f"{path}[{i}]", tolerance=tolerance)
    elif _is_number(received) and _is_number(stored):
        if not math.isclose(received, stored, rel_tol=1e-9, abs_tol=tolerance):
            within = "" if isinstance(stored, int) else f" (tolerance {tolerance:g})"
            yield f"{path or 'value'}: baseline {stored:.6g}, received {received:.6g}{within}"
    elif received != stored:
        yield f"{path or 'value'}: baseline {stored!r}, received {received!r}"


def _rounded(value: float | None) -> float | None:
    """Six digits, and no negative zero: its sign depends on the machine."""
    return None if value is None else round(value, 6) + 0.0


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def baseline_file(root: Path, slug: str, module: str) -> Path:
    return root / slug / f"{module}.json"


def packaged_root() -> Path:
    """The baselines that came with the package: inside it, or beside it in a checkout."""
    inside = Path(__file__).parent / "blessed"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "baselines"


def find_file(roots: Iterable[Path], slug: str, module: str) -> Path | None:
    files = (baseline_file(root, slug, module) for root in roots)
    return next((path for path in files if path.is_file()), None)


def read_entries(path: Path) -> Entries:
    """Test name -> baseline; empty when there is no such file.

    Raises:
        BaselineError: The file is not a baseline of this schema.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unreadable(path, repr(error)) from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise _unreadable(path, "something else")
    if content["schema_version"] != SCHEMA_VERSION:
        raise BaselineError(
            f"a baseline file of schema {SCHEMA_VERSION}, got {content['schema_version']!r} "
            f"({path}); write it anew with --snapshot-update"
        )
    entries = content.get("baselines")
    if not isinstance(entries, dict):
        raise _unreadable(path, "no baselines by the names of tests")
    for name, entry in entries.items():
        if fault := _fault(entry):
            raise _unreadable(path, f"{fault} (entry {name!r})")
    return entries


def _unreadable(path: Path, got: str) -> BaselineError:
    return BaselineError(
        f"a baseline file with schema_version and baselines, got {got} ({path}); restore it, or "
        "delete it and run with --snapshot-update"
    )


def _fault(entry: object) -> str:
    """What of an entry no program here has written; its other values are its test's own."""
    if not isinstance(entry, dict):
        return ""
    for name in ("mechanism", "task", "verdict", CONDITIONS):
        if not isinstance(entry.get(name, ""), str):
            return f"{name} that is no text"
    if entry.get("mechanism") and entry.get("verdict") not in VERDICTS:
        return f"the verdict {entry.get('verdict')!r}"
    tolerance = entry.get(TOLERANCE, 0)
    if not _is_number(tolerance) or tolerance < 0:
        return f"{TOLERANCE} that is no number from 0 on"
    inner = entry.values()
    return next((fault for one in inner if (fault := _fault(one))), "")


def change_entries(path: Path, change: Callable[[Entries], Entries]) -> None:
    """Rewrite a file under a lock: several test workers may hold tests of one module.

    Raises:
        BaselineError: The folder cannot be written, or the file is unreadable.
    """
    # Only who writes needs it; listings should not wait for its import.
    from mmflow_bench.store.locking import alone

    with refusing(BaselineError, "a folder for baselines that can be written", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(_lock_file(path), is_kept=False):
            entries = change(read_entries(path))
            if entries:
                content = {"schema_version": SCHEMA_VERSION, "baselines": entries}
                text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
                replace_file(path, text + "\n")
            else:
                path.unlink(missing_ok=True)


def _lock_file(path: Path) -> Path:
    """A lock outside the folder, which is under version control and should stay clean."""
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"mmflow-baseline-{name}.lock"
