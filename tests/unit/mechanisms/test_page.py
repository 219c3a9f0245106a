"""The reference of the mechanisms is what the suites declare, read and ask."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmflow_bench.mechanisms.catalogue import WITHOUT_A_TEST
from mmflow_bench.mechanisms.declared import DeclaredTest, mechanisms, shipped
from mmflow_bench.mechanisms.declaring import Declaration
from mmflow_bench.names import matches

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
CATALOGUE = ROOT / "tests" / "data" / "catalogue.txt"


@pytest.fixture(scope="module")
def reference():
    """The package beside the pages, which is no part of what is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        import reference.entries
        import reference.pages

        yield reference


@pytest.fixture(scope="module")
def pages(reference) -> dict[str, str]:
    found: dict[str, str] = reference.pages.pages()
    return found


def test_the_pages_are_written_from_the_suites():
    # After a change that is meant: python docs/mechanisms.py
    command = [sys.executable, str(DOCS / "mechanisms.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr


def test_pages_that_differ_are_named_and_written_and_old_ones_go(reference, tmp_path):
    wanted = {"mechanisms.md": "index\n", "mechanisms/new.md": "new\n"}
    (tmp_path / "mechanisms").mkdir()
    for name, text in {"mechanisms.md": "index\n", "mechanisms/gone.md": "old\n"}.items():
        (tmp_path / name).write_text(text)
    stale = ["mechanisms/gone.md", "mechanisms/new.md"]
    assert reference.pages.differing(wanted, tmp_path) == stale
    reference.pages.write(wanted, tmp_path)
    assert not reference.pages.differing(wanted, tmp_path)
    (tmp_path / "mechanisms.md").write_text("edited by hand\n")
    assert reference.pages.differing(wanted, tmp_path) == ["mechanisms.md"]


def test_every_link_of_the_index_leads_to_a_heading(pages):
    index = pages["mechanisms.md"]
    links = re.findall(r"\]\((mechanisms/[\w.-]+)#([\w.-]+)\)", index)
    assert {name for _, name in links} == {one.id for one in mechanisms(shipped())}
    assert len(links) == len(set(links))
    for page, name in links:
        assert f"\n### {name}\n" in pages[page]
    assert all(f"- `{name}`: {why}" in index for name, why in WITHOUT_A_TEST.items())


def of(pages: dict[str, str], name: str) -> str:
    text = next(text for text in pages.values() if f"\n### {name}\n" in text)
    return text.partition(f"\n### {name}\n")[2].partition("\n### ")[0]


def test_an_entry_says_all_that_is_known_of_a_mechanism(pages):
    said = of(pages, "img-last-null")
    assert "- source: Sec. 5" in said
    assert "suite `core`" in said
    assert "- reads: `image -> last`" in said
    assert "  - extreme of image -> last: `+-5%` (4 of 5)" in said
    assert "- of the paper's checkpoints: holds, each of them" in said
    assert "- gate: peak image -> last" in said
    assert "(https://arxiv.org/abs/2411.17491)" in said
    assert re.search(r"- killed by: .*`planted/image-last-too`", said)
    assert re.search(r"  - image -> last on ChooseAttr: `[▁-█]{40}` \S+% at \d+", said)


def test_what_differs_between_tasks_is_said_for_each(pages):
    said = of(pages, "imgq-drop2")
    assert "- asks on ChooseAttr, ChooseCat, ChooseRel, QueryAttr:" in said
    assert "- asks on CompareAttr, LogicalObj:" in said
    assert said.count("- of the paper's checkpoints:") == 2
    # What draws the same stands together.
    assert "  - noncapitalized (normed lens) on ChooseAttr, noncapitalized (raw lens) on" in of(
        pages, "lens-order"
    )
    assert "- killed by: none. Every planted checkpoint answers its" in of(pages, "acc-95")
    assert "not about it: llava-1.5-7b" in of(pages, "imgq-drop1-60")


def test_an_observation_is_told_from_a_threshold(reference):
    asked = reference.asked.Asked("peak of image->last on QueryAttr", "", "fraction", True)
    line = reference.asked._line(asked)
    assert line == "peak of image -> last: observed, no threshold"


def test_what_only_samples_show_is_told_as_it_is_written(reference):
    def test_count(flow, task):
        assert flow.count(task).within(10, 20)

    tests = [DeclaredTest(Declaration(id="own"), test_count, ({"task": "own"},))]
    [(_, reads)] = reference.asked.reads_by_task(tests)
    assert not reads.asked
    line = "`flow.count(task).within(10, 20)`, as it is written"
    assert reference.asked.written(tests) == [line]


def test_evidence_is_of_mechanisms_that_are_named_and_says_where_it_is_from():
    works = json.loads((DOCS / "evidence.json").read_text(encoding="utf-8"))["works"]
    lines = CATALOGUE.read_text(encoding="utf-8").splitlines()
    named = [name for line in lines if not line.startswith("#") for name in line.split()]
    for work in works:
        assert re.fullmatch(r"\d{4}\.\d{5}|https://\S+", work.get("arxiv") or work["url"])
        assert work["models"]
        assert work["says"]
        for pattern, said in work["says"].items():
            assert said
            assert any(matches(name, [pattern]) for name in named), pattern
    assert len({work["work"] for work in works}) == len(works)


def test_windows_of_other_widths_are_told_apart_and_have_no_curve_of_the_usual_one(pages):
    said = of(pages, "win-qlast-mid")
    assert "`question -> last` in windows of 1, `question -> last` in windows of 3 of 40" in said
    assert said.count("question -> last on ChooseAttr") == 1
