"""The pages of the reference: an index, and one page for each section."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmflow_bench.mechanisms.catalogue import WITHOUT_A_TEST
from mmflow_bench.mechanisms.declared import mechanisms, shipped
from mmflow_bench.mechanisms.declaring import Declaration
from mmflow_bench.runs.rows import grouped
from reference import known
from reference.entries import TIERS, entry, in_words

FOLDER = "mechanisms"
WRITTEN = "Written by `python docs/mechanisms.py`; edit the tests, not this page."
HEAD = f"""# Mechanisms

Every mechanism that ships, from the tests in `suites/` that declare them. A run asks those of its
`--suite`, and of wider ones what `--mechanisms` names in full; `mmflow ls mechanisms` lists them.

{WRITTEN}
"""
TABLE = """
| mechanism | suite | kind | tasks | claim |
| --- | --- | --- | --- | --- |
"""
NOWHERE = """
## Not here

Named by the paper or by work since, and not to be had here.

"""
LEGEND = f"""[All mechanisms](../mechanisms.md). {WRITTEN}

*Reads* is what the tests ask of a checkpoint: cut edges, and the logit lens. *Asks* is what they
compare, in the order of asking: what a claim presupposes, then the claim. Both are found by running
each test on a flow that only watches, of 40 layers in windows of 9. *Gate* is the number that two
checkpoints are compared by. *Since* is other work, as its abstract tells. *Killed by* lists the
planted checkpoints on which the mechanism fails. Curves are means over the images of the baseline
of `planted/base`, by the centre of the window or by the lens's depth (0 is the embedding), with the
value furthest from zero and its place.
"""


def pages() -> dict[str, str]:
    """Every page by its path in docs/."""
    ordered = mechanisms(shipped())
    sections = grouped(ordered, lambda one: one.section)
    found = {f"{FOLDER}.md": index(sections)}
    for section, members in sections.items():
        parts = [f"# {section}\n", LEGEND, *map(entry, members)]
        found[page_of(section)] = "\n".join(parts)
    return found


def page_of(section: str) -> str:
    """The path of a section's page.

    >>> page_of("Sec. 5, image to question")
    'mechanisms/sec-5-image-to-question.md'
    """
    return f"{FOLDER}/{re.sub(r'[^a-z0-9]+', '-', section.lower()).strip('-')}.md"


def index(sections: Mapping[str, Sequence[Declaration]]) -> str:
    """The page that lists all of them, section by section."""
    tables = [
        f"\n## [{section}]({page_of(section)})\n{TABLE}" + "".join(map(_row, members))
        for section, members in sections.items()
    ]
    nowhere = [
        f"- `{name}`: {why}.\n"
        + "".join(f"  - since: {said}\n" for said in known.evidence_on(name))
        for name, why in WITHOUT_A_TEST.items()
    ]
    return "".join([HEAD, *tables, NOWHERE, *nowhere])


def _row(one: Declaration) -> str:
    statement = one.statement.replace("|", "\\|")
    return (
        f"| [{one.id}]({page_of(one.section)}#{one.id}) | {one.suite} | {TIERS[one.tier]} "
        f"| {in_words(one.tasks)} | {statement} |\n"
    )


def differing(wanted: Mapping[str, str], docs: Path) -> list[str]:
    """The pages that are not as they would be written, and those that nobody writes."""
    there = {f"{FOLDER}/{path.name}" for path in (docs / FOLDER).glob("*.md")}
    wrong = [
        name
        for name, text in wanted.items()
        if not (docs / name).is_file() or (docs / name).read_text(encoding="utf-8") != text
    ]
    return sorted({*wrong, *there - wanted.keys()})


def write(wanted: Mapping[str, str], docs: Path) -> None:
    """Write every page, and take away those of sections that there are not any more."""
    for name in differing(wanted, docs):
        if name not in wanted:
            (docs / name).unlink()
            continue
        (docs / name).parent.mkdir(exist_ok=True)
        (docs / name).write_text(wanted[name], encoding="utf-8")
