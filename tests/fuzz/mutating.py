"""Inputs made wrong at random: bytes, texts, trees of JSON, tables, folders."""

from __future__ import annotations

import copy
import json
import math
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

WORDS: list[str] = json.loads(Path(__file__).with_name("corpus").joinpath("words.json").read_text())
"""Texts that have made trouble somewhere."""
NUMBERS = (
    *(0, 1, -1, 2, 1e-320, 0.5, 7.5, 1e308, 2**31, 2**63, 2**64, 10**400, -(2**63)),
    *(math.nan, math.inf, -math.inf, -0.0, 1e-9, 4_000_000_000),
)
Mutation = Callable[[random.Random, Path], None]


def nasty(draw: random.Random, depth: int = 2) -> Any:
    """Any JSON value."""
    kind = draw.randrange(8 if depth else 5)
    if kind == 0:
        return draw.choice(NUMBERS)
    if kind in (1, 2):
        return draw.choice(WORDS)
    if kind == 3:
        return draw.choice([None, True, False, "", [], {}])
    if kind == 4:
        return "".join(chr(draw.randrange(1, 0x2FF)) for _ in range(draw.randrange(1, 40)))
    if kind == 5:
        return {draw.choice(WORDS): nasty(draw, depth - 1) for _ in range(draw.randrange(4))}
    return [nasty(draw, depth - 1) for _ in range(draw.randrange(5))]


def wrong_tree(draw: random.Random, tree: Any) -> Any:
    """A tree of JSON with one to three of its places changed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return nasty(draw)
        holder, key = draw.choice(places)
        action = draw.randrange(6)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, dict):
            holder[draw.choice(WORDS)] = holder.pop(key)
        elif action == 2 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif action == 3:
            # What it holds, from another place: of the right kind where others are not.
            other, name = draw.choice(places)
            holder[key] = copy.deepcopy(other[name])
        else:
            holder[key] = nasty(draw)
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    children = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, child in list(children):
        yield tree, key
        if isinstance(child, dict | list):
            yield from _places(child)


def wrong_json(draw: random.Random, path: Path) -> None:
    """Change a JSON file; mostly what it says, sometimes how."""
    if draw.random() < 0.2:
        return wrong_bytes(draw, path)
    if draw.random() < 0.03:
        path.write_text("[" * 100_000)
        return None
    tree = wrong_tree(draw, json.loads(path.read_text()))
    path.write_text(json.dumps(tree), encoding="utf-8", errors="surrogatepass")
    return None


def wrong_bytes(draw: random.Random, path: Path) -> None:
    """Flip bits of a file, cut it, lengthen it, or put zeros into it."""
    content = bytearray(path.read_bytes())
    action = draw.randrange(5)
    if action <= 1 and content:
        for _ in range(draw.choice((1, 1, 1, 8))):
            # Headers and footers are small, and matter most.
            end = draw.choice((64, 4096, len(content), len(content)))
            place = draw.randrange(min(end, len(content)))
            place = draw.choice((place, len(content) - 1 - place))
            content[place] ^= 1 << draw.randrange(8)
    elif action == 2:
        del content[draw.randrange(len(content) + 1) :]
    elif action == 3 and content:
        start = draw.randrange(len(content))
        size = min(draw.choice((1, 8, 512, 4096)), len(content) - start)
        content[start : start + size] = bytes(size)
    else:
        content += draw.randbytes(draw.choice((1, 64)))
    path.write_bytes(bytes(content))


def wrong_kind(draw: random.Random, path: Path) -> None:
    """Put something else than a file of its own into a file's place."""
    own = path.read_bytes()
    path.unlink()
    kind = draw.randrange(6)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        path.symlink_to(draw.choice(("/dev/zero", "/dev/null", "/etc/passwd", path.name)))
    elif kind == 2:
        os.mkfifo(path)
    elif kind == 3:
        path.touch()
    elif kind == 4:
        beside = path.with_name(f"{path.name}.beside")
        beside.write_bytes(own)
        path.symlink_to(beside.name)
    # Otherwise it is gone.


def wrong_table(draw: random.Random, path: Path) -> None:
    """Change a Parquet file: its bytes, a value, a type, a column."""
    if draw.random() < 0.3:
        return wrong_bytes(draw, path)
    table = pq.read_table(path)
    name = draw.choice(table.column_names)
    place = table.column_names.index(name)
    action = draw.randrange(5)
    if action == 0:
        table = table.drop_columns([name])
    elif action == 1:
        table = table.rename_columns(
            [draw.choice(WORDS)[:50] if c == name else c for c in table.column_names]
        )
    elif action == 2:
        other = draw.choice(table.column_names)
        table = table.set_column(place, name, table[other])
    elif action == 3:
        table = table.slice(0, draw.randrange(len(table) + 1))
    else:
        values = table[name].to_pylist()
        if values:
            values[draw.randrange(len(values))] = nasty(draw, 1)
        try:
            column = pa.array(values, table[name].type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            column = pa.array([json.dumps(value, default=str) for value in values])
        table = table.set_column(place, name, column)
    pq.write_table(table, path)
    return None


def exchange(draw: random.Random, path: Path) -> None:
    """Put a neighbour of the same kind into a file's place."""
    beside = path.parent.glob(f"*{path.suffix}")
    others = [other for other in beside if other != path and other.is_file()]
    if others:
        shutil.copy(draw.choice(others), path)
    else:
        wrong_bytes(draw, path)
