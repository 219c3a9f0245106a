"""The site: an index, a page for each checkpoint, a page for two side by side, and the data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mmflow_bench.errors import StoreError
from mmflow_bench.files import read_json, refusing, replace_file
from mmflow_bench.reports.glance.flow import glance_of
from mmflow_bench.reports.html.page import asset, rendered, tiles
from mmflow_bench.reports.html.paper_figures import figures_of
from mmflow_bench.reports.leaderboard.board import Board, Entry, board_of, public
from mmflow_bench.reports.leaderboard.exports import (
    HUB_BENCHMARK,
    eval_results_yaml,
    every_eval_ever,
)
from mmflow_bench.runs.reading import read_run
from mmflow_bench.runs.rows import fields_in

SCHEMA_VERSION = 1
INDEX_JSON, KIND = "index.json", "mmflow-leaderboard"


def write_leaderboard(
    runs: Sequence[Path],
    output: Path,
    *,
    latest: bool = False,
    benchmark: str = HUB_BENCHMARK,
) -> Path:
    """Write the leaderboard of some runs; the same runs give the same bytes, in any order.

    Args:
        runs: Run folders.
        output: Folder of the site: empty, new, or that of an earlier leaderboard.
        latest: Of several runs of a checkpoint take the newest, instead of refusing.
        benchmark: `OWNER/NAME` that the files for the Hugging Face hub name.

    Returns:
        The index page.

    Raises:
        StoreError: A run folder is broken or given twice, or the site cannot be written.
    """
    board = board_of([read_run(path) for path in runs], latest=latest)
    files = site(board, benchmark=benchmark)
    earlier = _earlier(output)
    with refusing(StoreError, "a folder that can be written", output, "choose another --output"):
        for name, content in files.items():
            replace_file(output / name, content)
        # Last, so that a full disk leaves the pages there are.
        written = {(output / name).resolve() for name in files}
        for path in earlier:
            if path.resolve() not in written:
                path.unlink()
    return output / "index.html"


def site(board: Board, *, benchmark: str = HUB_BENCHMARK) -> dict[str, str]:
    files = {
        "index.html": _page("leaderboard.html.j2", board),
        "compare.html": _page("compare.html.j2", board, "compare.js"),
    }
    for entry in board.entries:
        files[_page_of(entry)] = _checkpoint_page(board, entry)
        exports = _exports_of(entry)
        files[exports["every_eval_ever"]] = _json(every_eval_ever(entry))
        files[exports["eval_results"]] = eval_results_yaml(entry, benchmark=benchmark)
    return files | {INDEX_JSON: _json(index(board, [*files, INDEX_JSON]))}


def index(board: Board, files: Sequence[str]) -> dict[str, object]:
    about = ("id", "section", "statement", "citation", "tier")
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "files": sorted(files),
        "mechanisms": [{name: getattr(row, name) for name in about} for row in board.mechanisms],
        "checkpoints": [_described(entry) for entry in board.entries],
    }


def _described(entry: Entry) -> dict[str, object]:
    results, kept = entry.record.results, fields_in("index")
    return {
        "slug": entry.slug,
        **results.checkpoint.model_dump(),
        "name": entry.name,
        "source": public(results.checkpoint.source),
        "run_id": results.run_id,
        "created": results.created,
        "complete": results.complete,
        "conditions": entry.conditions,
        "data": {"name": public(results.data.name), "fingerprint": results.data.fingerprint},
        "samples": entry.selected,
        "accuracy": entry.accuracy,
        "holds_of_decided": entry.share,
        "summary": entry.counts,
        "page": _page_of(entry),
        "exports": _exports_of(entry),
        "mechanisms": [{name: getattr(row, name) for name in kept} for row in entry.record.rows],
    }


def _page_of(entry: Entry) -> str:
    return f"checkpoints/{entry.slug}.html"


def _exports_of(entry: Entry) -> dict[str, str]:
    return {
        "every_eval_ever": f"every_eval_ever/{entry.slug}.json",
        "eval_results": f"huggingface/{entry.slug}/.eval_results/mmflow-bench.yaml",
    }


def _page(template: str, board: Board, *more: str) -> str:
    scripts = [asset(name) for name in ("tables.js", *more)]
    return rendered(template, scripts=scripts, board=board, root="", page_of=_page_of)


def _checkpoint_page(board: Board, entry: Entry) -> str:
    return rendered(
        "checkpoint.html.j2",
        scripts=[asset("tables.js")],
        board=board,
        entry=entry,
        root="../",
        exports=_exports_of(entry),
        sections=tiles(entry.record.rows),
        glances=[glance_of(entry.record, name=entry.name)],
        figures=figures_of(entry.record),
    )


def _json(value: object) -> str:
    # Lone surrogates stay escapes, so that any name can be written.
    return json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _earlier(output: Path) -> list[Path]:
    """The pages of an earlier leaderboard, and nothing else.

    Raises:
        StoreError: The folder holds something else.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return []
    try:
        known = read_json(output / INDEX_JSON)
        if not isinstance(known, dict) or known.get("kind") != KIND:
            raise ValueError(f"no {INDEX_JSON} of the kind {KIND}")
        earlier = [output / str(name) for name in known["files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"a new or empty folder, or that of an earlier leaderboard, got one that holds other "
            f"things ({output}); choose another --output"
        ) from error
    # The index may be somebody else's: it must not name files outside of the site.
    root = output.resolve()
    return [path for path in earlier if path.is_file() and path.resolve().is_relative_to(root)]
