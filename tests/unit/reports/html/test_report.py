"""The report as text: complete, escaped, and without a way out."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import pytest
from run_folders import NASTY, ROWS, made_up_row, write_made_up_run

from mmflow_bench.errors import StoreError
from mmflow_bench.reports.html.page import data_json, ready_for_html, write_report

LOADING = {"src", "href", "action", "data", "srcset", "poster", "formaction"}


class Elements(html.parser.HTMLParser):
    """Every start tag with its attributes, and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)
            self._in_script = False


def page_of(folder: Path, **values: object) -> str:
    return write_report(write_made_up_run(folder, **values)).read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_plotly")
def test_says_every_verdict_with_its_numbers_in_words(tmp_path):
    page = page_of(tmp_path)
    for row in ROWS:
        assert row.id in page
        assert row.verdict in page
    assert "-30.0%" in page
    assert "[-40.0%, -20.0%]" in page
    assert "none asked" in page
    assert "/secret/python" not in page


@pytest.mark.usefixtures("without_plotly")
def test_says_whose_answer_is_followed_where_it_is_not_the_checkpoint_s_own(tmp_path):
    said = "the probability of the reference answer is followed"
    assert said in page_of(tmp_path / "one", follow="reference")
    assert said not in page_of(tmp_path / "other")


@pytest.mark.usefixtures("without_plotly")
def test_draws_every_figure_that_there_are_numbers_for(tmp_path):
    elements = Elements(page_of(tmp_path))
    drawn = [a["id"] for tag, a in elements.tags if tag == "details" and a.get("id")]
    assert drawn == [
        *("into-last", "image-to-question", "lens-normed", "lens-raw"),
        *("window-image-to-question", "window-question-to-last"),
        "removal-image",
        *("methods-image-to-question", "methods-question-to-last"),
    ]


@pytest.mark.usefixtures("without_plotly")
def test_draws_the_curve_of_a_mechanism_that_reads_neither_edge_nor_lens(tmp_path):
    rows = [
        made_up_row(),
        made_up_row(id="jaccard", section="own", name="jaccard", statement="Words differ."),
    ]
    page = page_of(tmp_path, rows=rows)
    assert 'id="curve-jaccard"' in page
    assert 'id="curve-q-last-drop"' not in page


@pytest.mark.parametrize("words", NASTY, ids=range(len(NASTY)))
@pytest.mark.usefixtures("without_plotly")
def test_words_of_others_stay_words(tmp_path, words):
    rows = [
        made_up_row(
            id=words, task=words, section=words, statement=words, citation=words, unit=words,
            threshold=words, qualifier=words, reason=words, name=words,
        )
    ]  # fmt: skip
    page = page_of(tmp_path / "run", name=words, task=words, words=words, rows=rows)
    plain = page_of(tmp_path / "plain", rows=[made_up_row(section="own")])
    # No element and no attribute that the templates do not have themselves.
    known = {(tag, name) for tag, attrs in Elements(plain).tags for name in (*attrs, "")}
    found = {(tag, name) for tag, attrs in Elements(page).tags for name in (*attrs, "")}
    assert found <= known
    assert len(page) < 3_000_000


@pytest.mark.usefixtures("without_plotly")
def test_no_name_of_ten_thousand_letters_stands_in_a_heading(tmp_path):
    page = page_of(tmp_path, name="x" * 10_000)
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    assert title is not None
    assert len(title[1]) < 200


def test_nothing_is_loaded_from_elsewhere_and_only_own_scripts_may_run(tmp_path):
    page = page_of(tmp_path)
    elements = Elements(page)
    addresses = {
        value or ""
        for _, attrs in elements.tags
        for name, value in attrs.items()
        if name in LOADING
    }
    assert {address for address in addresses if not address.startswith(("#", "data:"))} == set()
    policy = next(a["content"] for t, a in elements.tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    executed = [
        script
        for script, (_, attrs) in zip(
            elements.scripts, [t for t in elements.tags if t[0] == "script"], strict=True
        )
        if attrs.get("type") != "application/json"
    ]
    hashes = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in executed}
    assert hashes == allowed
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1]


def test_plotly_is_inlined_once_where_it_is_installed(tmp_path):
    pytest.importorskip("plotly")
    page = page_of(tmp_path)
    assert page.count("Plotly.js v") + page.count("plotly.js v") == 1
    data = re.search(r'id="panel-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    panels = json.loads(data[1])
    assert len(panels) == page.count("data-panel=")
    mean = panels[0]["series"][0]["values"]
    # Four samples lose 1/8 ... 4/8 of depth / width: the mean relative change is -2 * 0.3125 / 3.
    assert mean[0] == pytest.approx(-2 * 0.3125 * 0.1 / 3, abs=1e-6)


@pytest.mark.usefixtures("without_plotly")
def test_without_plotly_figures_and_their_numbers_are_there_all_the_same(tmp_path):
    page = page_of(tmp_path)
    assert 'id="panel-data"' not in page
    assert page.count('<svg class="panel"') > 8
    assert "mean by layer" in page


@pytest.mark.usefixtures("without_plotly")
def test_a_baseline_is_drawn_behind(tmp_path):
    base = write_made_up_run(tmp_path / "base", name="the-base")
    tuned = write_made_up_run(tmp_path / "tuned", name="the-tuned")
    page = write_report(tuned, baseline=base).read_text(encoding="utf-8")
    assert "question → last, the-base" in page
    assert 'class="line s0 behind"' in page


@pytest.mark.usefixtures("without_plotly")
def test_shows_images_with_boxes_and_patches_where_the_questions_still_are(tmp_path):
    images = tmp_path / "images"
    page = page_of(tmp_path / "run", images=images, task="Colours")
    assert page.count('<div class="picture">') == 4
    # Cell 1 of four columns over 40 pixels: a quarter to a half of the width, the upper half.
    assert '<rect class="patch" x="25.00" y="0.00" width="25.00" height="50.00"/>' in page
    assert '<rect class="box" x="25.00" y="25.00" width="25.00" height="50.00"/>' in page
    for path in images.iterdir():
        path.unlink()
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "data:image" not in page
    assert page.count("The image is not where this report was made") == 4


@pytest.mark.usefixtures("without_plotly")
def test_shows_no_image_of_another_question_with_the_same_id(tmp_path):
    images = tmp_path / "images"
    write_made_up_run(tmp_path / "run", images=images, task="Colours")
    assert "data:image" in write_report(tmp_path / "run").read_text(encoding="utf-8")
    file = images / "questions.jsonl"
    file.write_text(file.read_text().replace("What colour", "What kind"))
    assert "data:image" not in write_report(tmp_path / "run").read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_plotly")
def test_the_same_run_gives_the_same_bytes(tmp_path):
    run = write_made_up_run(tmp_path)
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


@pytest.mark.usefixtures("without_plotly")
def test_a_run_of_which_only_the_results_were_kept_has_a_report(tmp_path):
    write_made_up_run(tmp_path)
    for path in tmp_path.glob("*.parquet"):
        path.unlink()
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "q-last-drop" in page
    assert 'id="figures"' not in page


@pytest.mark.usefixtures("without_plotly")
def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    write_made_up_run(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StoreError, match="No space left"):
        write_report(tmp_path)


def test_data_in_a_page_is_the_same_data_and_no_markup():
    value = {"name": "</script><!-- & \u2028", "n": [1.5, None]}
    text = str(data_json(value))
    assert json.loads(text) == value
    assert not set("<>&\u2028") & set(text)


def test_a_script_cannot_end_its_element():
    assert "</script" not in ready_for_html('x = "</script><!--"')


@pytest.mark.usefixtures("without_plotly")
def test_observations_are_counted_apart_from_what_could_hold(tmp_path):
    seen = made_up_row(verdict="report", expected="report", threshold="", task="QueryAttr")
    page = page_of(tmp_path / "both", rows=[made_up_row(), seen])
    assert '<li class="report"><b><span aria-hidden="true">∘</span> 1</b> report</li>' in page
    assert "1 of 1 hold" in page
    assert "1 observed" in page_of(tmp_path / "alone", rows=[seen])
