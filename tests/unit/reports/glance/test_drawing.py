"""The picture: the right things in the right places, for those who see it and those who do not."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from flows import BASE, LAYERS, drop, flow_record, hill
from run_folders import NASTY

from mmflow_bench.reports.glance.drawing import glance_svg
from mmflow_bench.reports.glance.flow import Glance, glance_of
from mmflow_bench.reports.glance.geometry import NARROW, WIDE, labels, ribbons
from mmflow_bench.reports.glance.paths import Lane
from mmflow_bench.reports.glance.words import sentence
from mmflow_bench.reports.glance.writing import glance_file, write_glance

ROOT = Path(__file__).parents[4]
SVG = "{http://www.w3.org/2000/svg}"
LENSES = {"noncapitalized": [0.1] * 21, "capitalized": [0.5] * 21}


def made_up(folder: Path, curves: dict[str, list[float]], **values: object) -> Glance:
    return glance_of(flow_record(folder, curves, **({"spread": 0.1} | values)))


@pytest.mark.parametrize("sheet", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_ribbon_is_as_thick_as_its_effect_is_large(tmp_path, sheet):
    curves = {"image->question": hill(1, 5, 0.2), "question->last": hill(8, 12, 0.8)}
    small, large = sorted(ribbons(made_up(tmp_path, curves), sheet), key=lambda r: r.thickness)
    assert large.thickness == pytest.approx(4 * small.thickness, rel=0.01)
    assert small.path.edge.name == "image->question"


@pytest.mark.parametrize("sheet", [WIDE, NARROW], ids=["wide", "narrow"])
def test_deeper_layers_lie_further_right_and_every_ribbon_joins_its_lanes(tmp_path, sheet):
    curves = {"image->question": hill(0, 3, 0.4), "question->last": hill(14, 19, 0.8)}
    early, late = sorted(ribbons(made_up(tmp_path, curves), sheet), key=lambda r: r.start.x)
    assert early.path.edge.name == "image->question"
    assert early.end.x < late.end.x
    assert sheet.left <= early.start.x < early.end.x
    assert late.end.x <= sheet.right + 1e-9
    assert (early.start.y, early.end.y) == (sheet.lane(Lane.IMAGE), sheet.lane(Lane.QUESTION))
    assert late.end.y == sheet.lane(Lane.LAST)


def test_a_long_stretch_begins_at_its_first_layer_and_ends_at_its_last(tmp_path):
    (ribbon,) = ribbons(made_up(tmp_path, {"question->last": hill(4, 14, 0.5)}), WIDE)
    assert ribbon.start.x == pytest.approx(WIDE.x(3.5, LAYERS))
    assert ribbon.end.x == pytest.approx(WIDE.x(14.5, LAYERS))
    assert ribbon.at(0) == pytest.approx(ribbon.start)
    assert ribbon.at(1) == pytest.approx(ribbon.end)


def test_what_is_shown_is_solid_what_is_not_is_dashed_and_what_is_absent_is_not_there(tmp_path):
    def edges(images: int) -> list[str]:
        glance = made_up(tmp_path / str(images), BASE, images=images)
        return re.findall(
            r'class="ribbon s\d( undecided)?" data-edge="([^"]+)"', glance_svg(glance, WIDE, id="x")
        )

    assert ("", "question-&gt;last") in edges(80)
    assert "image-&gt;last" not in dict(map(reversed, edges(80)))
    assert {state for state, _ in edges(1)} == {" undecided"}


def test_no_number_stands_on_another(tmp_path):
    parts = {
        "related_patches->question": hill(4, 8, 0.5),
        "other_patches->question": hill(4, 8, 0.4),
        "question->last": hill(4, 8, 0.4),
    }
    drawn = ribbons(made_up(tmp_path, parts), NARROW)
    placed = [
        label.place for label in labels([(one, "other 40%") for one in drawn], NARROW, size=12)
    ]
    for i, one in enumerate(placed):
        assert one.x >= NARROW.left
        assert all(abs(one.x - o.x) > 50 or abs(one.y - o.y) >= 12 for o in placed[i + 1 :])


def test_says_everything_to_who_does_not_see_it(tmp_path):
    glance = made_up(tmp_path, BASE, lenses=LENSES)
    root = ET.fromstring(glance_svg(glance, WIDE, id="a"))
    assert root.get("role") == "img"
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert title.text == "Information flow in made/up"
    assert desc.text == sentence(glance)


def test_the_answer_stands_below_in_lower_case_and_then_capitalised(tmp_path):
    texts = [
        t.text
        for t in ET.fromstring(
            glance_svg(made_up(tmp_path, BASE, lenses=LENSES), WIDE, id="a")
        ).iter(f"{SVG}text")
    ]
    assert texts.index("“answer”") < texts.index("“Answer”")


@pytest.mark.parametrize(
    "curves",
    [
        {},
        {"question->last": drop()},
        {"question->last": [-1.0] * LAYERS},
        {"question->last": [1.0] * LAYERS},
        {"question->last": [-0.5]},
        {"image->last": [-1e-9] * LAYERS, "image->question": [-0.999] * LAYERS},
    ],
    ids=range(6),
)
@pytest.mark.parametrize("images", [1, 2, 60])
def test_odd_runs_are_drawn_without_a_number_that_is_none(tmp_path, curves, images):
    glance = glance_of(flow_record(tmp_path, curves, images=images, decoder_layers=None))
    for sheet in (WIDE, NARROW):
        drawn = glance_svg(glance, sheet, id="a")
        root = ET.fromstring(drawn)
        _, _, width, height = map(float, root.get("viewBox").split())
        assert not re.search(r"\bnan\b|\binf\b", drawn)
        for x, y in re.findall(
            r"[MLC ](-?[\d.]+) (-?[\d.]+)", " ".join(e.get("d", "") for e in root.iter())
        ):
            assert -60 <= float(x) <= width + 60
            assert -60 <= float(y) <= height + 60
    said = "nothing was measured between them"
    assert (said in drawn) == (not curves)


def test_the_file_stands_for_itself_in_light_and_dark_and_asks_for_nothing(tmp_path):
    path = write_glance(tmp_path / "a.svg", [made_up(tmp_path / "run", BASE, lenses=LENSES)])
    text = path.read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert "prefers-color-scheme: dark" in text
    assert not {e.tag for e in root.iter()} & {f"{SVG}script", f"{SVG}image", f"{SVG}a"}
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in text
    words = " ".join(t.text for t in root.iter(f"{SVG}text"))
    assert "The strongest path is question → last position" in words


def test_before_and_after_stand_side_by_side(tmp_path):
    before = made_up(tmp_path / "a", BASE, name="before/it")
    after = made_up(tmp_path / "b", BASE | {"image->question": drop()}, name="after/it")
    root = ET.fromstring(glance_file([before, after]))
    columns = root.findall(f"{SVG}g")
    starts = [float(re.findall(r"translate\(([\d.]+)", c.get("transform"))[0]) for c in columns]
    assert starts[1] - starts[0] >= NARROW.width
    ribbons_of = [
        [g.get("data-edge") for g in c.iter(f"{SVG}g") if g.get("data-edge")] for c in columns
    ]
    assert "image->question" in ribbons_of[0]
    assert "image->question" not in ribbons_of[1]


@pytest.mark.parametrize("words", NASTY, ids=range(len(NASTY)))
def test_a_name_of_anybody_s_stays_a_name(tmp_path, words):
    glance = made_up(tmp_path, BASE, name=words)
    plain = {e.tag for e in ET.fromstring(glance_file([made_up(tmp_path / "p", BASE)])).iter()}
    text = glance_file([glance])
    assert {e.tag for e in ET.fromstring(text).iter()} <= plain
    assert len(text) < 60_000
