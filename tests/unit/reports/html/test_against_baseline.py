"""A baseline in the report: its curves behind, every compared number in a table."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from run_folders import LAYERS, NASTY, write_made_up_run

from mmflow_bench.baselines.blessing import bless
from mmflow_bench.baselines.gate import GATE
from mmflow_bench.baselines.paired_records import FILE, BaselineComparison, ComparedRow, TaskPairs
from mmflow_bench.baselines.tolerances import DEFAULTS
from mmflow_bench.errors import StoreError
from mmflow_bench.reports.html.page import write_report
from mmflow_bench.reports.html.paper_figures import figures_of
from mmflow_bench.runs.reading import read_run

pytestmark = pytest.mark.usefixtures("without_plotly")

BEHIND = re.compile(r'<polyline class="line s\d behind"')
ROW = ComparedRow(
    id="q-last-drop", task="ChooseAttr", verdict="changed", reading="peak", unit="fraction",
    before=-0.575, after=-0.05, difference=0.525, low=0.49, high=0.55, n=14,
)  # fmt: skip
COMPARISON = BaselineComparison(
    base="base",
    name="tuned",
    kind="paired",
    alpha=0.05,
    tolerance=dict(DEFAULTS),
    rows=(
        replace(ROW, id="acc-95", verdict="unchanged", unit="accuracy", difference=0.0),
        ROW,
        replace(ROW, id="u", verdict="undecided", reason="the interval reaches the tolerance"),
    ),
    tasks=(
        TaskPairs(task="ChooseAttr", both=14, base_only=3, tuned_only=5, neither=7, reworded=9),
    ),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_made_up_run(tmp_path / "run", name="tuned")


def keep(run: Path, comparison: BaselineComparison, *why: str) -> None:
    (run / FILE).write_text(comparison.as_json())
    said = {"gate": "regression", "passed": not why, "why": list(why)}
    (run / GATE).write_text(json.dumps(said))


def page_of(run: Path, baseline: Path | None = None) -> str:
    return write_report(run, baseline=baseline).read_text(encoding="utf-8")


def cells(page: str) -> list[list[str]]:
    table = page.partition('<table class="wide" id="comparison"')[2].partition("</table>")[0]
    lines = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    return [
        [
            " ".join(re.sub("<[^>]*>", "", cell).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", line, re.DOTALL)
        ]
        for line in lines
    ]


def test_a_blessed_baseline_is_drawn_behind_like_the_run_that_it_was_made_of(run, tmp_path):
    base = write_made_up_run(tmp_path / "base", name="base")
    values = bless(base, tmp_path / "baselines", name="kept") / "values"
    drawn = {
        place: [
            (figure.id, panel.title, one.name, one.values)
            for figure in figures_of(read_run(run), read_run(place))
            for panel in figure.panels
            for one in panel.series
            if one.is_baseline
        ]
        for place in (base, values)
    }
    # Two edges and two probes by two variants.
    assert len(drawn[base]) == 2 + 4
    for own, kept in zip(drawn[base], drawn[values], strict=True):
        assert own[:3] == kept[:3]
        assert own[3] == pytest.approx(kept[3], abs=1e-6)
    page = page_of(run, values)
    assert len(BEHIND.findall(page)) == 2 + 4
    assert "Thin grey curves are the baseline" in page
    assert len(BEHIND.findall(page_of(run))) == 0


def test_a_baseline_of_another_depth_is_not_drawn_and_the_page_says_so(run, tmp_path, monkeypatch):
    monkeypatch.setattr("run_folders.LAYERS", LAYERS + 2)
    deeper = write_made_up_run(tmp_path / "deeper")
    page = page_of(run, deeper)
    assert not BEHIND.search(page)
    assert "Thin grey curves" not in page
    assert "no curves of these tasks and layers" in page


def test_the_number_of_samples_is_the_checkpoints_own(run, tmp_path):
    base = write_made_up_run(tmp_path / "base")
    for name in ("samples.parquet", "lens.parquet", "removal.parquet"):
        table = pq.read_table(run / name)
        pq.write_table(table.filter(pc.not_equal(table["image_id"], "a")), run / name)
    captions = re.findall(r"<figcaption>.*?n = (\d+)", page_of(run, base))
    assert set(captions) == {"2"}


def test_every_compared_number_stands_in_a_table_what_changed_first(run):
    keep(run, COMPARISON, "changed: q-last-drop (ChooseAttr)")
    page = page_of(run)
    head, *rows = cells(page)
    assert [row[0] for row in rows] == ["q-last-drop", "u", "acc-95"]
    assert dict(zip(head, rows[0], strict=True)) == {
        "mechanism": "q-last-drop",
        "task": "ChooseAttr",
        "verdict": "≠ changed",
        "read": "peak",
        "before": "-57.5%",
        "after": "-5.0%",
        "difference": "+52.5%",
        "interval": "[49.0, 55.0%]",
        "n/img": "14",
        "why": "",
    }
    assert rows[1][-1] == "the interval reaches the tolerance"
    for said in ("gate failed", "changed: q-last-drop (ChooseAttr)", "3 compared: 1 changed"):
        assert said in page
    pairs = page.partition("Questions answered correctly")[2].partition("</table>")[0]
    assert re.findall(r'class="number">(\d+)<', pairs) == ["14", "3", "5", "7", "9"]


def test_verdicts_without_values_are_compared_by_their_words(run):
    row = ComparedRow(
        id="m", task="t", verdict="changed", reading="verdict", was="holds", now="fails"
    )
    verdicts = replace(
        COMPARISON, kind="verdicts", tolerance={}, rows=(row,), tasks=(), source="from its prose"
    )
    keep(run, verdicts)
    page = page_of(run)
    assert cells(page)[1][4:6] == ["holds", "fails"]
    assert "verdicts only" in page
    assert "from its prose" in page
    assert "gate passed" in page


def test_a_refused_comparison_says_why(run):
    keep(run, replace(COMPARISON, rows=(), tasks=(), refused=("another prompt",)), "refused")
    page = page_of(run)
    assert "Not comparable: <bdi>another prompt" in page
    assert 'id="comparison"' not in page


def test_a_run_without_a_baseline_does_not_speak_of_one(run):
    assert "Against the baseline" not in page_of(run)


def test_a_damaged_comparison_is_named(run):
    (run / FILE).write_text("{")
    with pytest.raises(StoreError, match=r"comparison\.json"):
        page_of(run)


@pytest.mark.parametrize("words", NASTY, ids=range(len(NASTY)))
def test_words_of_others_stay_words_in_a_comparison(run, words):
    row = replace(ROW, id=words, task=words, reading=words, reason=words)
    pairs = replace(COMPARISON.tasks[0], task=words)
    nasty = replace(
        COMPARISON, name=words, base=words, rows=(row,), tasks=(pairs,), notes=(words,),
        refused=(words,), source=words,
    )  # fmt: skip
    keep(run, COMPARISON, "x")
    plain = set(re.findall(r"<(\w+)", page_of(run)))
    keep(run, nasty, words)
    page = page_of(run)
    assert set(re.findall(r"<(\w+)", page)) <= plain
    assert "<script>alert" not in page
    assert len(page) < 1_000_000
