"""What a checkpoint does, in one sentence: the strongest path, where it is, what does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmflow_bench.mechanisms.bands import NEGLIGIBLE
from mmflow_bench.mechanisms.numbers import formatted, several
from mmflow_bench.reports.glance.flow import Glance
from mmflow_bench.reports.glance.paths import Lane, Path, State, Stretch

_MOST_NAMED = 3
"""Mechanisms that a sentence names."""
EMPTY = "No path between image, question and last position was measured"


PLACES = ("Before", "After")
"""What is said of two runs side by side."""


def sentence(glance: Glance) -> str:
    """What a checkpoint does, in one sentence that says of everything how far it is shown."""
    parts = [*_shown(glance), *_others(glance), *_answer(glance), *_verdicts(glance)]
    return "; ".join(parts) + "."


def conditions(glance: Glance) -> str:
    """What the numbers are means over, and how the picture is read; empty where there is none."""
    if not glance.paths:
        return ""
    images = max(path.images for path in glance.paths)
    return (
        f"Means over {several(glance.samples, 'sample')} of {several(images, 'image')} and "
        f"{several(glance.tasks, 'task')}, cut in windows of {several(glance.window, 'layer')}; "
        f"layers are the middles of windows, counted from 0. {_KEY}"
    )


_KEY = (
    "A ribbon is as thick as what the answer loses without it, and lies in the layers where it "
    "does; a faint dashed one is undecided. Below, how far the logit lens reads the answer in "
    "lower case, then capitalised."
)


def placed(stretches: Sequence[Stretch]) -> str:
    """Layers in words.

    >>> one = Stretch(first=0, last=4, peak=2, effect=0.3)
    >>> placed([one]), placed([one, Stretch(first=8, last=8, peak=8, effect=0.1)])
    ('layers 0 to 4', 'layers 0 to 4 and 8')
    """
    named = [str(s.first) if s.first == s.last else f"{s.first} to {s.last}" for s in stretches]
    is_one = len(stretches) == 1 and stretches[0].first == stretches[0].last
    return f"{'layer' if is_one else 'layers'} {listed(named)}"


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _shown(glance: Glance) -> Iterator[str]:
    shown = [path for path in glance.paths if path.state is State.SHOWN]
    if not glance.paths:
        yield EMPTY
        return
    if not shown:
        yield "No path is shown to carry anything"
        return
    wholes = [path for path in shown if _is_whole(path, shown)]
    first = max(wholes, key=lambda path: path.effect)
    depth = f" of {glance.layers}" if glance.layers else ""
    yield (
        f"The strongest path is {first.edge.words}, in {placed(first.stretches)}{depth}: "
        f"without it the answer loses {_percent(first.effect)} of its probability"
        f"{_by_parts(first, shown)}"
    )
    for path in sorted((one for one in wholes if one is not first), key=_peak):
        said = f"{path.edge.words} {_percent(path.effect)} in {placed(path.stretches)}"
        yield f"{_order(path, first)} {said}{_by_parts(path, shown)}"


def _is_whole(path: Path, shown: Sequence[Path]) -> bool:
    """Whether a path is no part of another that is shown as well."""
    return path.edge.whole not in {one.edge.name for one in shown}


def _by_parts(path: Path, shown: Sequence[Path]) -> str:
    parts = [one for one in shown if one.edge.whole == path.edge.name]
    said = [
        f"by {part.edge.said} {_percent(part.effect)} in {placed(part.stretches)}"
        for part in sorted(parts, key=_peak)
    ]
    return f" ({', '.join(said)})" if said else ""


def _order(path: Path, first: Path) -> str:
    """Whether a path comes before the strongest one, read off where both are strongest."""
    one, other = _peak(path), _peak(first)
    return "before it" if one < other else "after it" if one > other else "beside it"


def _others(glance: Glance) -> Iterator[str]:
    whole = [path for path in glance.paths if not path.edge.whole]
    undecided = [path.edge.words for path in whole if path.state is State.UNDECIDED]
    absent = [path.edge.words for path in whole if path.state is State.ABSENT]
    if undecided:
        yield f"{listed(undecided)} {'is' if len(undecided) == 1 else 'are'} undecided"
    if absent:
        yield f"nothing beyond {_percent(NEGLIGIBLE)} takes {listed(absent)}"
    if whole and (missing := _unmeasured(whole, glance.top)):
        yield f"{listed(missing)} {'was' if len(missing) == 1 else 'were'} not measured"


def _unmeasured(paths: Sequence[Path], top: str) -> list[str]:
    """Pairs of lanes that no edge was cut between."""
    known = {(path.edge.source, path.edge.target) for path in paths}
    pairs = (Lane.IMAGE, Lane.QUESTION), (Lane.QUESTION, Lane.LAST), (Lane.IMAGE, Lane.LAST)
    lacked = [pair for pair in pairs if pair not in known]
    names = {Lane.IMAGE: top, Lane.QUESTION: Lane.QUESTION}
    return [f"{names[source]} \N{RIGHTWARDS ARROW} {target}" for source, target in lacked]


def _answer(glance: Glance) -> Iterator[str]:
    appeared = [(case.appears, case.said) for case in glance.cases if case.appears is not None]
    if appeared:
        said = [f"{said} after layer {layer}" for layer, said in appeared]
        yield f"the logit lens reads the answer {listed(said)}"
    elif glance.cases:
        yield "the logit lens reads the answer nowhere"


def _verdicts(glance: Glance) -> Iterator[str]:
    if glance.verdicts:
        yield _decided(glance)
    if glance.decided and glance.inconclusive:
        is_one = glance.inconclusive == 1
        yield f"{several(glance.inconclusive, 'verdict')} {'is' if is_one else 'are'} inconclusive"


def _decided(glance: Glance) -> str:
    if not glance.decided:
        return "no mechanism is decided"
    if not glance.failing:
        return "every mechanism that is decided holds"
    named = list(glance.failing[:_MOST_NAMED])
    if more := len(glance.failing) - len(named):
        named.append(f"{more} more")
    does = "does" if len(glance.failing) == 1 else "do"
    return f"{listed(named)} {does} not hold"


def _peak(path: Path) -> int:
    return path.strongest.peak if path.strongest else 0


def _percent(value: float) -> str:
    return formatted(round(value, 2), "fraction")
