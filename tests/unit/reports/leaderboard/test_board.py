"""Runs as one table: one run for each checkpoint, in an order of its own."""

from __future__ import annotations

import pytest
from run_folders import NASTY, made_up_row, write_made_up_run

from mmflow_bench.errors import StoreError
from mmflow_bench.reports.leaderboard.board import Cell, board_of
from mmflow_bench.reports.leaderboard.exports import eval_results_yaml
from mmflow_bench.runs.reading import read_run


def run(folder, **values):
    return read_run(write_made_up_run(folder, **values))


def test_a_cell_shows_the_worst_verdict_and_the_median_estimate():
    rows = (
        made_up_row(estimate=-0.1),
        made_up_row(task="B", verdict="fails", estimate=-0.3),
        made_up_row(task="C", verdict="not-applicable", estimate=None),
        made_up_row(task="D", estimate=-0.2),
    )
    cell = Cell(rows=rows)
    assert (cell.verdict, cell.holding, cell.applicable) == ("fails", 2, 3)
    assert cell.effect == pytest.approx(-0.2)


def test_an_observation_neither_holds_nor_could_it(tmp_path):
    seen = made_up_row(verdict="report", task="B", threshold="")
    both = Cell(rows=(made_up_row(), seen))
    assert (both.verdict, both.holding, both.applicable) == ("holds", 1, 1)
    alone = Cell(rows=(seen, made_up_row(verdict="not-applicable", task="C")))
    assert (alone.verdict, alone.applicable) == ("report", 0)
    entry = board_of([run(tmp_path, rows=(made_up_row(), seen))]).entries[0]
    assert (entry.share, entry.counts["report"]) == (1.0, 1)
    assert "1 of 1 decided mechanisms hold, 1 asked" in eval_results_yaml(entry)


def test_checkpoints_stand_in_the_order_of_their_names(tmp_path):
    runs = [run(tmp_path / n, name=n, run_id=n) for n in ("c", "a", "b")]
    assert [entry.name for entry in board_of(runs).entries] == ["a", "b", "c"]


def test_counts_what_was_decided_and_answered(tmp_path):
    entry = board_of([run(tmp_path)]).entries[0]
    assert entry.share == 0.5
    assert entry.accuracy == 1.0
    assert entry.selected == 5
    assert entry.counts["inconclusive"] == 1


def test_a_run_given_twice_is_refused_with_both_folders(tmp_path):
    one, other = (run(tmp_path / n, run_id="same") for n in ("one", "other"))
    with pytest.raises(StoreError, match=r"got run same of made/up twice .*one.*other"):
        board_of([one, other], latest=True)


def test_two_runs_of_a_checkpoint_are_refused_or_the_newest_is_taken(tmp_path):
    new = run(tmp_path / "new", run_id="2", created="2026-02-01T00:00:00+00:00")
    old = run(tmp_path / "old", run_id="1", created="2026-01-01T00:00:00+00:00")
    with pytest.raises(StoreError, match=r"got two of made/up .*old.*new.*--latest"):
        board_of([new, old])
    assert board_of([new, old], latest=True).entries[0].record is new


def test_no_runs_are_said():
    with pytest.raises(StoreError, match="at least one run folder"):
        board_of([])


def test_names_become_paths_that_stay_in_the_folder(tmp_path):
    names = [*NASTY, "A/b", "a/b", "a_b", "con", ".hidden", "-x"]
    runs = [run(tmp_path / str(i), name=n, run_id=str(i)) for i, n in enumerate(names)]
    slugs = [entry.slug for entry in board_of(runs).entries]
    assert len({slug.lower() for slug in slugs}) == len(names)
    assert all(slug.isascii() and len(slug) < 80 and slug[0] not in ".-" for slug in slugs)
    assert not any(set("/\\.<>\"'& ") & set(slug) for slug in slugs)


def test_different_samples_or_windows_are_not_comparable(tmp_path):
    one = run(tmp_path / "one", name="one", settings={"questions": "q.csv"})
    same = run(tmp_path / "same", name="same", settings={"questions": "q.csv"})
    other = run(tmp_path / "other", name="other", settings={"questions": "q.csv", "window": 5})
    assert board_of([one, same]).are_comparable
    assert not board_of([one, same, other]).are_comparable


def test_own_samples_are_the_same_for_two_checkpoints(tmp_path):
    one, other = (run(tmp_path / n, name=n) for n in ("one", "other"))
    assert board_of([one, other]).are_comparable


def test_says_on_which_mechanisms_checkpoints_differ(tmp_path):
    one = run(tmp_path / "one", name="one")
    other = run(tmp_path / "other", name="other", rows=[made_up_row(verdict="fails")])
    board = board_of([one, other])
    assert board.differs("q-last-drop")
    assert not board.differs("lens-order")


def test_runs_that_follow_different_answers_are_not_comparable(tmp_path):
    one, other = (
        run(tmp_path / follow, name=follow, run_id=follow, follow=follow)
        for follow in ("answer", "reference")
    )
    board = board_of([one, other])
    assert not board.are_comparable
    assert "following the reference answer" in board.entries[1].conditions


def test_sections_stand_in_the_order_of_the_runs_and_a_late_mechanism_with_its_section(tmp_path):
    one = [made_up_row(id="a", section="Sec. 6"), made_up_row(id="b", section="Sec. 5")]
    other = [made_up_row(id="c", section="Sec. 6"), made_up_row(id="d", section="1b")]
    runs = [
        run(tmp_path / n, name=n, run_id=n, rows=rows) for n, rows in (("1", one), ("2", other))
    ]
    assert [row.id for row in board_of(runs).mechanisms] == ["a", "c", "b", "d"]
