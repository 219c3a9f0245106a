"""The notebooks run as they stand, and show what they show."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "examples" / "notebooks"


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_and_is_stored_with_what_it_shows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    shown = 0
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        value = _last_value("".join(cell["source"]), names)
        kept = [one for one in cell["outputs"] if one["output_type"] == "execute_result"]
        assert bool(kept) == (value is not None)
        assert not any(one["output_type"] == "error" for one in cell["outputs"])
        if kept:
            shown += 1
            assert ("text/html" in kept[0]["data"]) == hasattr(value, "_repr_html_")
            assert len(repr(value)) < 1000
    assert shown > 2


def _last_value(code: str, names: dict[str, Any]) -> Any:
    """What a cell's last line gives; None where it is no expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
