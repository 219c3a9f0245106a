"""A trace as text, page, SVG and pixels, whatever is in it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from PIL import Image
from run_folders import NASTY

from mmflow_bench.errors import MechanismError, StoreError
from mmflow_bench.tracing.bitmap import trace_image
from mmflow_bench.tracing.drawing import weight
from mmflow_bench.tracing.picture import trace_svg
from mmflow_bench.tracing.record import CAUTION, Block, EdgeCurve, LensCurve, Trace
from mmflow_bench.tracing.saving import save_trace, trace_page
from mmflow_bench.tracing.terminal import render_trace


def block(row: int, column: int, change: float) -> Block:
    return Block(
        left=20.0 * column, top=10.0 * row, width=20.0, height=10.0, patches=4,
        relative_change=change,
    )  # fmt: skip


MADE_UP = Trace(
    checkpoint="made/up",
    question="Is it red or blue?",
    prompt="<image> Is it red or blue?",
    answer="Red",
    token="Red",
    probability=0.9,
    layers=3,
    window=1,
    edges=(EdgeCurve(edge="image->question", relative_change=(0.0, -0.5, 0.0)),),
    unmeasured={"caption->last": "no-caption"},
    lens=(LensCurve(word="red", probability=(0.0, 0.0, 0.4, 0.1)),),
    blocks=(block(0, 0, 0.0), block(0, 1, -0.25), block(1, 1, 0.1)),
    reach=1,
    without_blocks="",
    photo=Image.new("RGB", (40, 20), (0, 0, 255)),
)
EMPTY = replace(
    MADE_UP, edges=(), unmeasured={}, lens=(), blocks=(), photo=None, answer="",
    without_blocks="the sample has no image",
)  # fmt: skip


def test_the_terminal_says_where_and_how_much():
    text = render_trace(MADE_UP)
    assert "Red (first token 'Red', probability 90%)" in text
    assert re.search(r"image → question +█▁█ +-50% around layer 1", text)
    assert re.search(r"red +▁▁█▃ +after layer 1", text)
    assert "caption → last: not there (no-caption)" in text
    # The third part was cropped away.
    assert re.search(r"^ +0% +-25%$\n^ +· +10%$", text, re.MULTILINE)
    assert CAUTION.split(":")[0] in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_parts_are_coloured_by_what_they_take_and_noise_is_not_blown_up():
    blocks = MADE_UP.blocks
    assert [weight(one, blocks) for one in blocks] == [0.0, 1.0, 0.0]
    small = (block(0, 0, -0.001), block(0, 1, 0.0))
    assert weight(small[0], small) == pytest.approx(0.02)
    image = trace_image(MADE_UP)
    # The left half of the photo is as it was, the right half is covered.
    left, right = image.getpixel((60, 60)), image.getpixel((800, 60))
    assert left == (0, 0, 255)
    assert right[0] > 100


@pytest.mark.parametrize("change", [0.0, -1e-6, 0.3])
def test_a_photo_that_nothing_is_read_of_is_said_to_take_nothing(change):
    idle = replace(MADE_UP, blocks=(block(0, 0, change),))
    text = " ".join(render_trace(idle).split())
    assert "none of them takes anything of the answer's probability with it." in text
    assert "takes 25% of the answer's" in " ".join(render_trace(MADE_UP).split())


def test_the_picture_says_itself_to_who_does_not_see_it():
    root = ET.fromstring(trace_svg(MADE_UP))
    texts = {element.tag.split("}")[-1]: element.text for element in root}
    assert texts["title"] == "One question traced through made/up"
    assert "-25" in "".join(element.text or "" for element in root.iter())
    assert CAUTION in texts["desc"]


@pytest.mark.parametrize("trace", [MADE_UP, EMPTY], ids=["all", "nothing"])
def test_every_form_has_its_say_whatever_is_missing(trace, tmp_path):
    for suffix in (".html", ".svg", ".png"):
        path = save_trace(trace, tmp_path / f"a{suffix}")
        assert path.stat().st_size > 500
    assert not re.search(r"\bnan\b", trace_svg(trace))
    if trace is EMPTY:
        assert "(nothing)" in render_trace(trace)
        assert "the sample has no image" in trace_page(trace)


def test_numbers_that_are_none_are_not_drawn():
    odd = replace(
        MADE_UP,
        edges=(EdgeCurve(edge="image->last", relative_change=(math.nan, -0.1, math.inf)),),
        photo=Image.new("L", (1, 3000)),
    )
    for text in (trace_svg(odd), trace_page(odd)):
        drawn = " ".join(re.findall(r'points="([^"]*)"', text))
        assert "nan" not in drawn
        assert "inf" not in drawn
    assert trace_image(odd).height > 0


@pytest.mark.parametrize("words", NASTY, ids=range(len(NASTY)))
def test_words_of_others_stay_words(words):
    nasty = replace(
        MADE_UP, checkpoint=words, question=words, prompt=words, answer=words, token=words,
        lens=(LensCurve(word=words, probability=(0.1, 0.2)),),
    )  # fmt: skip
    tags = {element.tag for element in ET.fromstring(trace_svg(MADE_UP)).iter()}
    assert {element.tag for element in ET.fromstring(trace_svg(nasty)).iter()} <= tags
    assert trace_page(nasty).count("<script") == 0
    assert not re.search("[\x00-\x08\x1b\u202e]", render_trace(nasty))
    assert trace_image(nasty).width == 1920


def test_another_ending_and_a_place_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(MechanismError, match=r"\.html, \.svg, \.png.*got '\.jpg'"):
        save_trace(MADE_UP, tmp_path / "a.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="a file that can be written"):
        save_trace(MADE_UP, tmp_path / "file" / "a.svg")
