"""docs/mechanisms.md, written from what the tests of the suites declare and read.

python docs/mechanisms.py > docs/mechanisms.md
"""

from collections.abc import Iterator, Sequence

from mmflow_bench.baselines.gate_set import gate_set
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.declared import DeclaredTest, mechanisms, shipped
from mmflow_bench.mechanisms.declaring import Declaration
from mmflow_bench.mechanisms.paper import PAPER_MODELS, SECTIONS
from mmflow_bench.mechanisms.watching import Reads, watched

HEAD = """# Mechanisms

Every mechanism that ships, from the tests in `suites/` that declare them
(`python docs/mechanisms.py > docs/mechanisms.md`). *Reads* is what a test asks of the checkpoint,
found by running it on a flow that only watches. Of the paper's checkpoints the paper says that it
`holds` unless something else stands there.
"""
TIERS = {
    "holds": "",
    "replicates": ", the paper's own number",
    "control": ", a control",
}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for section in SECTIONS:
        parts.append(f"## {section}\n")
        parts += [entry(one) for one in mechanisms(shipped()) if one.section == section]
    return "\n".join(parts)


def entry(one: Declaration) -> str:
    """One mechanism."""
    tests = [test for test in shipped() if test.declaration.id == one.id]
    reads = [found for test in tests for found in watched(test)]
    lines = [f"### {one.id}\n", one.statement, "", f"- {one.citation}{TIERS[one.tier]}"]
    lines.append(f"- tasks: {tasks(one.tasks)}")
    lines.append(f"- reads: {', '.join(read(reads)) or 'answers alone'}")
    lines.append(f"- in: {', '.join(sorted({unit for found in reads for unit in found.units}))}")
    lines += [f"- {said}" for said in of_checkpoints(tests)]
    lines += [
        f"- gate: {row.reading} {row.edge.replace('->', ' -> ')}{row.probe}".rstrip()
        + (f" at depths {row.band.low:g} to {row.band.high:g}" if row.band.low else "")
        + (", where windows hold the first layer" if row.band.first_layer == "only" else "")
        for row in gate_set()
        if row.id == one.id
    ]
    return "\n".join([*lines, ""])


def tasks(names: Sequence[str]) -> str:
    """Tasks in words."""
    if names == ("all",):
        return "one statement across tasks"
    return "each of the six" if tuple(names) == SIX_TASKS else ", ".join(names)


def read(reads: Sequence[Reads]) -> list[str]:
    """Everything that is read, once each."""
    wants = [want for found in reads for of_task in found.wants.values() for want in of_task]
    return list(dict.fromkeys(map(described, wants)))


def described(want: Want[object]) -> str:
    """One thing that is read."""
    if not isinstance(want, Sweep):
        return f"the {want.name}"
    name = f"`{want.name.replace('->', ' -> ')}`"
    return name if want.width is None else f"{name} in windows of {want.width}"


def of_checkpoints(tests: Sequence[DeclaredTest]) -> Iterator[str]:
    """What is said of single checkpoints of the paper, where it is not that it holds."""
    for test in tests:
        one = test.declaration
        which = f" ({tasks(one.tasks)})" if len(tests) > 1 else ""
        silent = one.unsaid_of
        for words, names in (
            ("only for", one.only_for),
            ("not for", one.not_for),
            ("fails for", one.fails_for),
            (
                "the paper does not say it of",
                ("any of them",) if silent == PAPER_MODELS else silent,
            ),
        ):
            if names:
                yield f"{words} {', '.join(names)}{which}"


if __name__ == "__main__":
    print(page(), end="")
