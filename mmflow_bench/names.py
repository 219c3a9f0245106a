"""Names that users give, as they are or as glob patterns, and what a name may have meant.

A pattern means the same in every option of every command, and one that matches nothing is refused:
a typo must not select everything, nor nothing at all.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, get_args

from mmflow_bench.errors import MechanismError, SelectionError

Suite = Literal["core", "paper", "all"]
"""The smallest selection that a mechanism is part of: each of these holds those before it."""
SUITES: tuple[Suite, ...] = get_args(Suite)
_MOST_LISTED = 12
"""Known names that a message lists; of more it names the closest only."""
LONGEST_SLUG = 100
"""Characters of a checkpoint's name in the name of its run folder."""


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is one of the glob patterns, or matches one; no pattern matches everything.

    >>> matches("ChooseAttr", ["Choose*"]), matches("ChooseAttr", []), matches("x", ["y"])
    (True, True, False)
    >>> matches("mine[1]", ["mine[1]"])
    True
    """
    return not patterns or any(
        name == pattern or fnmatchcase(name, pattern) for pattern in patterns
    )


def is_wanted(name: str, suite: Suite, *, patterns: Sequence[str], chosen: Suite) -> bool:
    """Whether a mechanism is asked for: it matches, and is of the suite or named in full.

    Args:
        name: Its id.
        suite: The smallest suite that it is part of.
        patterns: Of --mechanisms.
        chosen: Of --suite.

    >>> is_wanted("x-closure", "all", patterns=["x-*"], chosen="paper")
    False
    >>> is_wanted("x-closure", "all", patterns=["x-closure"], chosen="paper")
    True
    """
    is_within = SUITES.index(suite) <= SUITES.index(chosen)
    return matches(name, patterns) and (is_within or name in patterns)


def refuse_outside(patterns: Iterable[str], suites: Mapping[str, Suite], *, chosen: Suite) -> None:
    """Refuse patterns of --mechanisms that match mechanisms of wider suites only.

    Args:
        patterns: As the user has typed them.
        suites: The suite of every mechanism, by its id.
        chosen: Of --suite.

    Raises:
        SelectionError: A pattern selects nothing of the suite.
    """
    for pattern in patterns:
        found = {name: suite for name, suite in suites.items() if matches(name, [pattern])}
        is_any = any(
            is_wanted(name, suite, patterns=[pattern], chosen=chosen)
            for name, suite in found.items()
        )
        if found and not is_any:
            wider = min(found.values(), key=SUITES.index)
            raise SelectionError(
                f"mechanisms of --suite={chosen}, got {pattern!r} (--mechanisms), which matches "
                f"those of wider suites only; add --suite={wider}, or name one in full"
            )


def unmatched(patterns: Iterable[str], known: Collection[str]) -> list[str]:
    """The patterns that match none of the known names."""
    return [one for one in patterns if not any(matches(name, [one]) for name in known)]


def refuse_unmatched(
    patterns: Iterable[str], known: Collection[str], *, option: str, what: str, advice: str
) -> None:
    """Refuse patterns that match nothing, together: each was typed for something.

    Args:
        patterns: As the user has typed them.
        known: Every name that they may stand for.
        option: Where they were typed, e.g. `--tasks`.
        what: A name of this kind in words, e.g. `a task of the questions`.
        advice: What to do where no name is close.

    Raises:
        SelectionError: One of them matches none of the names.
    """
    missed = unmatched(patterns, known)
    if missed:
        listed = f" ({', '.join(known) or 'there is none'})" if len(known) <= _MOST_LISTED else ""
        said = ", ".join(map(repr, missed))
        meant = hint(missed[0], known) or f"; {advice}"
        raise SelectionError(f"{what}{listed}, got {said} ({option}){meant}")


def one_of(value: object, known: Collection[str], what: str) -> str:
    """The value, which must be one of the known names; `what` says what they are.

    Raises:
        MechanismError: It is none of them.
    """
    if isinstance(value, str) and value in known:
        return value
    raise MechanismError(f"{what} ({', '.join(known)}), got {value!r}{hint(str(value), known)}")


def hint(name: str, known: Iterable[str]) -> str:
    """The name that may have been meant, as the end of a message; nothing where none is close.

    >>> hint("ChoseAttr", ["ChooseAttr", "QueryAttr"])
    '; did you mean ChooseAttr?'
    >>> hint("CHOOSEATTR", ["ChooseAttr"]), hint("Nothing", ["ChooseAttr"])
    ('; did you mean ChooseAttr?', '')
    """
    # Case is the commonest slip, and half of a name says which one is meant.
    by_lower = {one.lower(): one for one in known}
    closest = get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.5)
    return f"; did you mean {by_lower[closest[0]]}?" if closest else ""


def slug(model: str) -> str:
    """A model's name in test ids and folders: no separator that ids are split at.

    >>> slug("planted/base"), slug("./runs/my-finetune/")
    ('planted_base', 'my_finetune')
    """
    path = Path(os.path.expanduser(model))
    # Path.exists raises for a name that is longer than names of files may be.
    is_path = model.startswith((".", "/", "~")) or os.path.exists(path)
    name = Path(os.path.realpath(path)).name if is_path else model
    plain = re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_.") or "model"
    if len(plain) <= LONGEST_SLUG:
        return plain
    # With time and id around it, a folder's name must stay below 255 bytes.
    return f"{plain[:LONGEST_SLUG]}_{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:6]}"


def model_slugs(models: Sequence[str]) -> dict[str, str]:
    """Slug -> model; a folder whose name is taken gets a hash of its path."""
    slugs: dict[str, str] = {}
    for model in models:
        short = slug(model)
        if short in slugs and slugs[short] != model:
            short = f"{short}_{hashlib.sha256(model.encode()).hexdigest()[:6]}"
        slugs[short] = model
    return slugs
