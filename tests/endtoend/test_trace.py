"""`mmflow trace` and `mm.trace`: one question about one photo, on planted checkpoints."""

from __future__ import annotations

import doctest
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from transformers import LlamaForCausalLM

import mmflow_bench as mm
from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.cli.main import main
from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.images import open_image
from mmflow_bench.interventions.knockout import Edge
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.planted.models import build
from mmflow_bench.scenes.questions import scene_samples
from mmflow_bench.tracing.asking import asked_sample
from mmflow_bench.tracing.record import CAUTION
from mmflow_bench.tracing.tracing import traced as traced_by

FIGURES = Path(__file__).parents[2] / "docs" / "figures"
MINI = "planted/mini"
(SAMPLE,) = scene_samples(per_task=1, tasks=("ChooseAttr",))


@pytest.fixture(scope="module")
def shown():
    return mm.trace(
        MINI,
        image=SAMPLE.image,
        question=SAMPLE.question,
        options=(SAMPLE.false_option, SAMPLE.true_option),
        objects=SAMPLE.object_names,
    )


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    open_image(SAMPLE).save(path)
    return path


def traced(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["trace", f"--model={MINI}", *map(str, arguments)])


def refused(*arguments: object) -> str:
    found = traced(*arguments)
    assert found.exit_code == 2, found.output
    assert "Traceback" not in found.output
    return " ".join(found.output.split())


def test_answers_the_question(shown):
    assert shown.answer.lower() == SAMPLE.answer
    assert 0.5 < shown.probability <= 1.0
    assert SAMPLE.question in shown.prompt


def test_its_curves_and_its_lens_are_those_that_a_run_measures_of_the_sample(shown):
    settings = MeasurementSettings(tasks=("ChooseAttr",), limit="1", self_test=False)
    measurements = Measurements.open(resolve_checkpoint(MINI), settings)
    (task,) = measurements.tasks
    assert measurements.samples.of(task)[0].question == SAMPLE.question
    curves = {one.edge: one.relative_change for one in shown.edges}
    for edge in ("image->question", "question->last", "image->last", "true_option->last"):
        table = measurements.table(task, Sweep.of(edge))
        assert curves[edge] == pytest.approx(table.relative_change[0].tolist(), abs=1e-6)
        assert table.base_probability[0] == pytest.approx(shown.probability, abs=1e-9)
    assert min(curves["image->question"]) < -0.1
    lens = {one.word: one.probability for one in shown.lens}
    table = measurements.table(task, Lens(probe="capitalized", variant="normed"))
    read = lens[SAMPLE.answer.capitalize()]
    assert read == pytest.approx(table.probability[0].tolist(), abs=1e-6)


def test_the_parts_of_the_photo_that_matter_are_those_that_show_what_is_asked_about(shown):
    (box,) = SAMPLE.boxes
    assert len(shown.blocks) == 36
    most = min(shown.blocks, key=lambda block: block.relative_change)
    assert most.relative_change < -0.05
    assert most.left < box.x + box.width
    assert box.x < most.left + most.width
    assert most.top < box.y + box.height
    assert box.y < most.top + most.height
    # The far side of the photo has nothing to say.
    far = max(shown.blocks, key=lambda b: (b.left - box.x) ** 2 + (b.top - box.y) ** 2)
    assert far.relative_change == pytest.approx(0.0, abs=0.02)


def test_a_part_that_holds_the_whole_photo_is_the_edge_cut_everywhere():
    shown = mm.trace(MINI, image=SAMPLE.image, question=SAMPLE.question, parts=1, neighbours=0)
    (block,) = shown.blocks
    assert block.patches == 36
    assert block.relative_change <= min(
        min(one.relative_change) for one in shown.edges if one.edge == "image->question"
    )


def test_options_may_come_in_any_order_and_objects_have_edges_of_their_own(shown):
    edges = [one.edge for one in shown.edges]
    assert edges == [
        *("image->question", "image->last", "question->last", "last->last"),
        *("true_option->last", "false_option->last", "image->objects", "objects->last"),
    ]
    assert all(str(Edge.parse(edge)) == edge for edge in edges)
    words = [one.word for one in shown.lens]
    assert words[:2] == [SAMPLE.answer.lower(), SAMPLE.answer.capitalize()]
    assert SAMPLE.false_option.capitalize() in words


def test_the_terminal_shows_answer_edges_lens_photo_and_caution(photo):
    found = traced(f"--image={photo}", f"--question={SAMPLE.question}")
    assert found.exit_code == 0, found.output
    assert f"{SAMPLE.answer.capitalize()} (first token" in found.stdout
    assert "image → question" in found.stdout
    assert "true_option" not in found.stdout
    assert "The 36 parts of the photo" in found.stdout
    assert CAUTION.split(":")[0] in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 100


@pytest.mark.parametrize("suffix", [".html", ".svg", ".png"])
def test_is_saved_as_what_the_name_says(shown, tmp_path, suffix):
    path = shown.save(tmp_path / f"trace{suffix}")
    if suffix == ".png":
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.width == 1920
            # Where most is lost, the photo is covered.
            assert len(image.getcolors(image.width * image.height)) > 100
        return
    text = path.read_text(encoding="utf-8")
    assert CAUTION.split(":")[0] in text
    assert text.count('class="loss"') == 36
    assert "data:image/jpeg;base64," in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    if suffix == ".svg":
        assert "script" not in {
            element.tag.split("}")[-1] for element in ET.fromstring(text).iter()
        }


def test_a_notebook_and_a_text_show_it(shown):
    assert "<svg" in shown._repr_html_()
    assert SAMPLE.question in str(shown)


def test_captions_stand_in_for_the_photo_of_a_checkpoint_without_eyes():
    scenes = mm.trace(
        "planted/text", question="What color is the lamp, red or blue?", caption="The lamp is red."
    )
    assert {one.edge for one in scenes.edges} >= {"caption->last", "question->last"}
    assert scenes.unmeasured == {"image->question": "no-image", "image->last": "no-image"}
    assert not scenes.blocks
    assert "is not told: the sample has no image" in str(scenes)
    assert scenes.photo is None


def test_what_cannot_be_asked_is_said_in_a_line(photo, tmp_path):
    asked = f"--question={SAMPLE.question}"
    assert "got no such file" in refused(f"--image={tmp_path}/nope.jpg", asked)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    assert "a readable image" in refused(f"--image={broken}", asked)
    assert "a question, got an empty one" in refused(f"--image={photo}", "--question= ")
    assert "Missing option '--question'" in refused(f"--image={photo}")
    assert "two options" in refused(f"--image={photo}", asked, "--options=red")
    assert ".html" in refused(f"--image={photo}", asked, "--output=trace.jpg")
    assert "window" in refused(f"--image={photo}", asked, "--window=4")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--options=green,orange", "'green'"),
        ("--objects=zeppelin", "zeppelin"),
        ("--window=99", "at most 12 layers"),
    ],
)
def test_what_the_question_or_the_checkpoint_does_not_have_is_refused(photo, more, said):
    assert said in refused(f"--image={photo}", f"--question={SAMPLE.question}", more)


def without_eyes() -> LoadedCheckpoint:
    """The decoder of a planted checkpoint alone, with its tokenizer."""
    spec = resolve_checkpoint("planted/text")
    whole, processor = build("planted/text")
    model = LlamaForCausalLM(whole.config.text_config)
    model.model.load_state_dict(whole.model.language_model.state_dict())
    model.lm_head.load_state_dict(whole.lm_head.state_dict())
    return assemble_checkpoint(model, processor.tokenizer, spec=spec, identity="decoder alone")


def test_a_checkpoint_without_eyes_takes_a_caption_and_refuses_a_photo():
    checkpoint, question = without_eyes(), "What color is the lamp, red or blue?"
    with pytest.raises(QuestionError, match="add a caption, or use a checkpoint with a vision"):
        traced_by(checkpoint, asked_sample(SAMPLE.image, question), side=6, reach=1)
    told = asked_sample(None, question, caption="The lamp is red.")
    found = traced_by(checkpoint, told, side=6, reach=1)
    assert "caption->last" in {one.edge for one in found.edges}
    assert found.without_blocks == "the sample has no image"
    assert 0 < found.probability <= 1


@pytest.mark.slow
def test_the_figure_in_the_repository_is_what_its_program_draws(tmp_path, monkeypatch):
    program = FIGURES / "trace_scene.py"
    monkeypatch.setattr("sys.argv", [str(program), str(tmp_path / "now.svg")])
    runpy.run_path(str(program), run_name="__main__")
    drawn, kept = (
        # Of the photo every version of Pillow makes other bytes.
        re.sub(r'href="[^"]*"', "", path.read_text(encoding="utf-8"))
        for path in (tmp_path / "now.svg", FIGURES / "trace-planted-base.svg")
    )
    told = "python docs/figures/trace_scene.py docs/figures/trace-planted-base.svg"
    number = re.compile(r"-?\d+(?:\.\d+)?")
    assert number.sub("#", drawn) == number.sub("#", kept), told
    places = [[float(n) for n in number.findall(text)] for text in (drawn, kept)]
    assert places[0] == pytest.approx(places[1], abs=0.11), told


def test_the_page_of_the_docs_says_what_happens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(FIGURES.parent / "trace.md"), module_relative=False)
    assert found.attempted > 5
    assert not found.failed
