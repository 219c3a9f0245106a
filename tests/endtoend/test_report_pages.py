"""The pages in a real browser: no complaint, no request; by keyboard, on a phone, at night."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_folders import NASTY, made_up_row, write_made_up_run

from mmflow_bench.reports.html.page import write_report
from mmflow_bench.reports.leaderboard.writing import write_leaderboard

WORDS = " ".join(NASTY).replace("\0", "")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    rows = [
        made_up_row(),
        made_up_row(task="QueryAttr", verdict="fails", estimate=-0.02),
        made_up_row(id=WORDS, task=WORDS, section="own", statement=WORDS, verdict="inconclusive"),
    ]
    run = write_made_up_run(
        folder / "run", name=WORDS, words=WORDS, task="Colours", rows=rows, images=folder / "images"
    )
    other = write_made_up_run(folder / "other", name="lab/other", rows=[made_up_row()], run_id="2")
    site = write_leaderboard([run, other], folder / "site").parent
    return {
        "report": write_report(run),
        "board": site / "index.html",
        "compare": site / "compare.html",
        "checkpoint": site / "checkpoints" / "lab_other.html",
    }


@pytest.fixture
def look(browser: Any, pages: dict[str, Path]) -> Callable[..., Any]:
    def open_page(page: str, **how: Any) -> Any:
        browser.open(pages[page], **how)
        return browser

    return open_page


@pytest.mark.parametrize("page", ["report", "board", "compare", "checkpoint"])
@pytest.mark.parametrize("how", [{}, {"width": 375, "height": 812, "dark": True}], ids=str)
def test_a_page_has_nothing_to_complain_of_and_asks_for_nothing(look, page, how):
    browser = look(page, **how)
    assert browser.run("document.querySelectorAll('table').length") > 0
    assert browser.complaints == []
    assert browser.requests == []
    assert browser.run("document.documentElement.scrollWidth") <= how.get("width", 1280)
    assert browser.run("typeof own") == "undefined"


def test_light_and_dark_differ_and_can_both_be_read(look):
    script = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert look("report").run(script) != look("report", dark=True).run(script)


def test_a_table_is_sorted_and_filtered_and_says_how_much_is_left(look):
    browser = look("report")
    browser.run("document.querySelector('#table thead button').focus()")
    head = "document.querySelectorAll('#table thead th')[3]"
    browser.run(f"{head}.querySelector('button').click()")
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "ascending"
    order = "[...document.querySelectorAll('#table tbody tr')].map(r => +r.cells[3].dataset.order)"
    assert browser.run(order) == sorted(browser.run(order))
    browser.run(
        "(() => { const s = document.querySelector('[data-tools-for=table] [data-filter=verdict]');"
        "s.value = 'fails'; s.dispatchEvent(new Event('input')); })()"
    )
    assert browser.run("document.querySelectorAll('#table tbody tr:not([hidden])').length") == 1
    count = "document.querySelector('[data-tools-for=table] [data-count]').textContent"
    assert browser.run(count) == "1 of 3"


def test_a_figure_becomes_interactive_and_back_without_a_request(look):
    pytest.importorskip("plotly")
    browser = look("report")
    button = "document.querySelector('.figure .explore')"
    browser.run(f"{button}.click()")
    assert browser.run("document.querySelectorAll('.js-plotly-plot').length") == 1
    assert browser.run("document.querySelectorAll('.figure svg.panel[hidden]').length") == 1
    assert browser.run("document.querySelectorAll('.js-plotly-plot script').length") == 0
    browser.run(f"{button}.click()")
    assert browser.run("document.querySelectorAll('.js-plotly-plot').length") == 0
    assert browser.complaints == []
    assert browser.requests == []


def test_what_is_said_of_a_sample_is_said_as_it_is(look):
    browser = look("report")
    browser.run("document.querySelector('.card').open = true")
    said = browser.run("document.querySelector('.card dd').textContent")
    assert said.rstrip("…") == WORDS[:1999]
    assert browser.run("document.querySelectorAll('.card .picture rect').length") == 4 * 3


def test_everything_that_can_be_used_is_reached_by_keyboard_and_has_a_name(look):
    browser = look("report")
    nameless = browser.run(
        "[...document.querySelectorAll('button, input, select, a[href], summary')].filter(e =>"
        "!(e.textContent.trim() || e.ariaLabel || e.labels?.length)).length"
    )
    assert nameless == 0
    assert (
        browser.run(
            "[...document.querySelectorAll('img, svg[role=img]')].filter(e =>"
            "!(e.hasAttribute('alt') || e.ariaLabel || document.getElementById("
            "e.getAttribute('aria-labelledby')?.split(' ')[0])?.textContent)).length"
        )
        == 0
    )
    assert browser.run("document.querySelectorAll('[tabindex]:not([tabindex=\"0\"])').length") == 0


def test_a_link_into_the_table_shows_the_row_though_it_is_filtered(look):
    browser = look("report")
    browser.run("document.getElementById('table-1').hidden = true")
    browser.run("document.querySelector('a[href=\"#table-1\"]').click()")
    browser.run("new Promise(done => setTimeout(done, 50))")
    assert browser.run("document.getElementById('table-1').hidden") is False


def test_two_checkpoints_stand_side_by_side_with_their_difference(look):
    browser = look("compare")
    head = "[...document.querySelectorAll('#pairs thead th:not([hidden])')].length"
    assert browser.run(head) == 2 + 2 + 1
    rows = "[...document.querySelectorAll('#pairs tbody tr')]"
    row = f"{rows}.find(row => row.textContent.includes('q-last-drop'))"
    assert browser.run(f"{row}.querySelector('[data-difference]').textContent") == "0.0 pp"
    browser.run(
        "(() => { const b = document.querySelector('[data-filter=differs]');"
        "b.checked = true; b.dispatchEvent(new Event('input')); })()"
    )
    assert browser.run("document.querySelectorAll('#pairs tbody tr:not([hidden])').length") == 2


def test_what_a_mechanism_says_is_said_once_for_its_tasks_whatever_is_shown(look):
    browser = look("report")
    claims = (
        "[...document.querySelectorAll('#table tbody tr:not([hidden]) .claim')]"
        ".map(e => getComputedStyle(e).display !== 'none')"
    )
    assert browser.run(claims) == [True, False, True]
    task = "document.querySelector('[data-tools-for=table] [data-filter=task]')"
    browser.run(f"{task}.value = 'QueryAttr', {task}.dispatchEvent(new Event('input')), 1")
    assert browser.run(claims) == [True]


def test_at_the_width_of_a_desk_no_column_of_the_mechanisms_is_cut(browser, tmp_path):
    reason = "not enough images: " + "many more are needed, " * 5
    rows = [made_up_row(task=task, reason=reason) for task in ("CompareAttr", "QueryAttr")]
    browser.open(write_report(write_made_up_run(tmp_path / "run", rows=rows)), width=1200)
    table = "document.querySelector('#table').parentElement"
    assert browser.run(f"{table}.scrollWidth <= {table}.clientWidth")


def test_the_leaderboard_fits_a_desk_and_shows_verdicts_on_a_phone(browser, tmp_path):
    rows = [made_up_row(), made_up_row(task="QueryAttr", verdict="inconclusive")]
    names = {"lab/one-of-some-length": "1", "lab/another-of-some-length": "2"}
    runs = [
        write_made_up_run(tmp_path / number, name=name, words="llava", rows=rows, run_id=number)
        for name, number in names.items()
    ]
    page = write_leaderboard(runs, tmp_path / "site")
    table = "document.querySelector('#board').parentElement"
    browser.open(page, width=1200)
    assert browser.run(f"{table}.scrollWidth <= {table}.clientWidth")
    browser.open(page, width=400, height=800)
    verdicts = "[...document.querySelectorAll('#board thead .verdict')]"
    assert browser.run(f"{verdicts}.length") == 3
    assert browser.run(f"Math.max(...{verdicts}.map(e => e.getBoundingClientRect().right))") <= 400


def test_a_statement_stands_beside_its_name_where_two_are_compared(look):
    browser = look("compare")
    claim = "document.querySelector('#pairs tbody tr:not(.again) .claim').textContent"
    assert made_up_row().statement in browser.run(claim)
    assert browser.run("document.querySelectorAll('#pairs tr.again').length") == 1
