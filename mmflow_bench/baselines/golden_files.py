"""Golden verdicts on disk: one small JSON file per checkpoint and test module.

    baselines/planted_base/test_edges_into_last.json
    {"schema_version": 1, "baselines": {"test_question_to_last[ChooseAttr]": {...}, ...}}

Test names in it do not carry the checkpoint, so that a fine-tune's folder may start as a copy of
its base's.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from filelock import FileLock

from mmflow_bench.baselines.golden_entries import Entries
from mmflow_bench.errors import BaselineError
from mmflow_bench.files import refusing, replace_file

SCHEMA_VERSION = 1


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
        content = json.loads(path.read_text(encoding="utf-8"))
        version, entries = content["schema_version"], dict(content["baselines"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaselineError(
            f"a baseline file with schema_version and baselines, got {error!r} ({path}); restore "
            "it, or delete it and run with --snapshot-update"
        ) from error
    if version != SCHEMA_VERSION:
        raise BaselineError(
            f"a baseline file of schema {SCHEMA_VERSION}, got {version!r} ({path}); write it anew "
            "with --snapshot-update"
        )
    return entries


def change_entries(path: Path, change: Callable[[Entries], Entries]) -> None:
    """Rewrite a file under a lock: several test workers may hold tests of one module.

    Raises:
        BaselineError: The folder cannot be written, or the file is unreadable.
    """
    with refusing(BaselineError, "a folder for baselines that can be written", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(_lock_file(path)):
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
