"""Columns on a terminal."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from mmflow_bench.reports.columns import Column, head, printed, table

COLUMNS = (Column("name", 6), Column("n", 4, is_number=True), Column("why"))


def lines(*rows, width=40, **options):
    return printed([table(COLUMNS, rows, width=width, **options)], width=width).splitlines()


def test_words_stand_left_numbers_right_and_heads_above_them():
    heads = printed([head(COLUMNS, width=40)], width=40).splitlines()
    assert [*heads, *lines(["a", "1", "x"], ["b", "22"])] == [
        *("  name      n why", "  a         1 x", "  b        22"),
    ]


def test_a_column_grows_and_the_last_one_is_cut_where_the_terminal_ends():
    shown = lines(["longer than six", "1", "y" * 100])
    assert shown == ["  longer than six    1 " + "y" * 16 + "…"]
    assert all(cell_len(line) <= 40 for line in lines(["🦙" * 30, "1", "z"]))


def test_brackets_of_a_user_are_no_markup():
    assert lines(["[red]", "1", ":smile:"], indent=0) == ["[red]     1 :smile:"]


def test_a_line_that_may_not_be_folded_is_cut():
    line = Text("word " * 10, no_wrap=True, overflow="ellipsis")
    assert printed([line], width=12) == "word word w…\n"
