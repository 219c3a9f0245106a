"""`mmflow doctor`: whether a run can work here, and what it will cost, before it is begun."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import click

from mmflow_bench.checkpoints.hardware import (
    hardware,
    is_driver_unused,
    require_device,
    torch_build,
)
from mmflow_bench.checkpoints.hub import hub_answers
from mmflow_bench.checkpoints.ingredients import ingredients_of
from mmflow_bench.checkpoints.settings import resolve_device
from mmflow_bench.checkpoints.weight_files import weight_files
from mmflow_bench.cli.options import Asked, asking
from mmflow_bench.cli.saying import say
from mmflow_bench.errors import MMFlowError
from mmflow_bench.files import try_writing
from mmflow_bench.measurements.memory import free_memory
from mmflow_bench.mechanisms.declared import chosen_tests
from mmflow_bench.mechanisms.foreseeing import paces, sizes
from mmflow_bench.mechanisms.rounds import planned_by, rounds_of
from mmflow_bench.options import Place
from mmflow_bench.store.address import StoreAddress
from mmflow_bench.store.objects import Objects

_LEAST_DISK = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what was found."""

    name: str
    said: str
    is_problem: bool = False


@click.command()
@asking(Place.MEASURE)
@click.pass_context
def doctor(ctx: click.Context, asked: Asked) -> None:
    """Look whether a run can work here, and what it will cost.

    Give it the options of the run. Exits with 1 where something stands in the way.
    """
    found: list[Finding] = []
    checks: Sequence[Callable[[Asked], Finding]] = (torch_here, device, memory, store, hub, cost)
    for check in checks:
        try:
            finding = check(asked)
        except (MMFlowError, OSError) as error:
            finding = Finding(check.__name__.partition("_")[0], str(error), is_problem=True)
        if finding.said in {one.said for one in found}:
            # One thing that is not there stands in the way of several.
            continue
        found.append(finding)
        line = f"{'PROBLEM' if finding.is_problem else 'ok':<8} {finding.name:<12} {finding.said}"
        say(line, colour="red" if finding.is_problem else None)
    ctx.exit(int(any(finding.is_problem for finding in found)))


def torch_here(_: Asked) -> Finding:
    """The torch that is installed, against the driver that is here."""
    if not is_driver_unused():
        return Finding("torch", torch_build())
    advice = "install the build for its CUDA, https://pytorch.org/get-started/locally"
    said = f"{torch_build()}, but there is an NVIDIA driver: {advice}"
    return Finding("torch", said, is_problem=True)


def device(asked: Asked) -> Finding:
    """What is computed on."""
    chosen = resolve_device(asked.checkpoint.device)
    require_device(chosen)
    about = hardware()
    names = about["accelerators"] if chosen != "cpu" else ()
    assert isinstance(names, list | tuple)
    return Finding(
        "device", f"{chosen} {', '.join(names)}".strip() + f", {about['threads']} threads"
    )


def memory(asked: Asked) -> Finding:
    """The weights against the memory of the device."""
    free = free_memory(resolve_device(asked.checkpoint.device))
    spec = asked.spec
    if spec.kind == "built":
        return Finding("memory", f"{spec.name} is small; {_size(free)} free")
    parts = [source for _, source in ingredients_of(spec).all() if not source.is_hub]
    needed = sum(file.stat().st_size for one in parts for file in weight_files(one.folder()))
    if not needed:
        return Finding("memory", f"{spec.name} is not on disk yet; {_size(free)} free")
    said = f"{_size(needed)} of weights, {_size(free)} free"
    if needed > free:
        advice = "try --model-args=dtype=bfloat16, or device_map=auto over several devices"
        return Finding("memory", f"{said}: too little; {advice}", True)
    return Finding("memory", said)


def store(asked: Asked) -> Finding:
    """The folder that keeps what is measured, and the URL behind it."""
    place, folder = asked.measurement.cache, asked.measurement.folder
    if folder is None:
        return Finding("store", "off: nothing is kept, and a run that is stopped begins anew")
    try_writing(folder)
    free = shutil.disk_usage(folder).free
    said = f"{folder}, {_size(free)} free on its disk"
    if isinstance(place, StoreAddress):
        Objects(place.url).try_writing()
        said = f"{place} can be read and written; in front of it {said}"
    return Finding("store", said, free < _LEAST_DISK)


def hub(asked: Asked) -> Finding:
    """Whether checkpoints and images can be fetched; they need not be."""
    if asked.checkpoint.offline:
        return Finding("hub", "not asked (--offline)")
    return Finding("hub", "answers" if hub_answers() else "does not answer: what is here is used")


def cost(asked: Asked) -> Finding:
    """How long a run takes that finds nothing in the store, by a few samples of its first task."""
    fresh = replace(asked.measurement, cache=None, from_cache=False, refresh=False)
    opened = replace(asked, measurement=fresh).open()
    tests = chosen_tests((), patterns=fresh.mechanisms, suite=fresh.suite)
    rounds = rounds_of(opened, planned_by(tests, opened))
    each, counts = paces(rounds), sizes(rounds)
    if not each:
        return Finding("cost", "no mechanism reads these tasks: nothing is measured")
    total = sum(pace * count for pace, count in zip(each, counts, strict=True))
    return Finding("cost", f"about {_time(total)} for {counts[0]} samples ({_each(*each)})")


def _each(own: float, again: float = 0.0) -> str:
    second = f", {again:.2g} s more where second opinions are asked" if again else ""
    return f"{own:.2g} s each{second}"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB"


def _time(seconds: float) -> str:
    """Seconds in words.

    >>> _time(40), _time(300), _time(10_000)
    ('40 s', '5 min', '2.8 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
