"""Which part of the samples one of several processes measures that know nothing of each other.

Every one of them finds the same parts by itself, from the options alone: never from what the store
has already, which changes while the others are at work.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from mmflow_bench.options import whole_number

_FORM = "I/N with I from 1 to N, such as 2/8, or auto"
_SLURM = "SLURM_ARRAY_TASK_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One of so many parts, counted from 1 on."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str]) -> Slice:
        """The part that `--shard` spells, or that the environment of a job has given to this one.

        >>> str(Slice.parse("2/8", {}))
        '2/8'
        >>> str(Slice.parse("auto", {"RANK": "0", "WORLD_SIZE": "4"}))
        '1/4'

        Raises:
            ValueError: It is none, or `auto` where the environment says nothing.
        """
        if text.strip() == "auto":
            return _given_by(environment)
        number, slash, of = text.strip().partition("/")
        try:
            found = cls(
                number=whole_number("--shard", number, least=1),
                of=whole_number("--shard", of, least=1),
            )
        except ValueError as error:
            raise ValueError(f"--shard takes {_FORM}, got {text[:80]!r}") from error
        if not slash or found.number > found.of:
            raise ValueError(f"--shard takes {_FORM}, got {text[:80]!r}")
        return found

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def dealt(costs: Mapping[str, int], of: int) -> list[frozenset[str]]:
    """The names in so many parts of about the same cost; the same for equal costs.

    The most costly first, each to the part that has least: no part has more than the average and
    one name. Of more parts than names the last ones, which have none, are left out.
    """
    parts: list[set[str]] = [set() for _ in range(min(of, len(costs)))]
    load = [(0, number) for number in range(len(parts))]
    for name in sorted(costs, key=lambda name: (-costs[name], name)):
        least, number = heapq.heappop(load)
        parts[number].add(name)
        heapq.heappush(load, (least + costs[name], number))
    return [frozenset(part) for part in parts]


def _given_by(environment: Mapping[str, str]) -> Slice:
    """The place in a Slurm array, among the ranks of torchrun or accelerate, or in both."""
    placed = [one for one in (_of_array(environment), _of_ranks(environment)) if one is not None]
    if not placed:
        raise ValueError(
            "--shard=auto takes its place from SLURM_ARRAY_TASK_ID (sbatch --array=1-8) or from "
            "RANK and WORLD_SIZE (torchrun, accelerate launch), got none of them; write "
            f"--shard={_FORM.partition(',')[0]}"
        )
    place, count = 0, 1
    for number, of in placed:
        place, count = place * of + number, count * of
    return Slice(number=place + 1, of=count)


def _of_array(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Place from 0 on, and how many there are."""
    if not environment.get(f"{_SLURM}ID"):
        return None
    own, count = (_number(environment, f"{_SLURM}{name}") for name in ("ID", "COUNT"))
    first = _number(environment, f"{_SLURM}MIN", otherwise="0")
    step = _number(environment, f"{_SLURM}STEP", otherwise="1")
    place, rest = divmod(own - first, max(1, step))
    if rest or not 0 <= place < count:
        raise ValueError(
            f"--shard=auto takes an array without gaps, such as 1-{max(1, count)}, got task {own} "
            f"of {count} from {first} on; for some of its tasks say --shard="
            f"$SLURM_ARRAY_TASK_ID/{max(1, count)} with the N of the whole array"
        )
    return place, count


def _of_ranks(environment: Mapping[str, str]) -> tuple[int, int] | None:
    if not environment.get("WORLD_SIZE"):
        return None
    own, count = (_number(environment, name) for name in ("RANK", "WORLD_SIZE"))
    if not 0 <= own < count:
        raise ValueError(
            f"--shard=auto takes a RANK from 0 on below WORLD_SIZE, got {own} of {count}"
        )
    return own, count


def _number(environment: Mapping[str, str], name: str, *, otherwise: str = "") -> int:
    text = environment.get(name) or otherwise
    try:
        return whole_number(name, text, least=0)
    except ValueError as error:
        raise ValueError(f"--shard=auto: {error}") from error
