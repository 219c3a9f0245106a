"""A newcomer with the wheel alone goes through the how-to pages, command by command.

What the pages speak of as the reader's own is put where they have it: checkpoints, photos, question
files. What they name that is not in the package is stood in for (`STAND_INS`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import pytest
from gqa_files import TYPES, write_gqa
from pages import DOCS, commands, python, typed, yaml
from PIL import Image
from vqa_files import aokvqa, okvqa

from mmflow_bench.inputs.question_sets import question_path
from mmflow_bench.inputs.questions import read_questions
from mmflow_bench.planted.designs import MINI
from mmflow_bench.planted.language import processor
from mmflow_bench.planted.models import compiled, save
from mmflow_bench.planted.variants import design_of
from mmflow_bench.scenes.questions import scene_samples

pytestmark = pytest.mark.slow

STAND_INS = {
    "--model=llava-1.5-7b-hf": "--model=planted/mini",
    "prune-plan --model=llava-1.5-7b --questions=gqa --images=hub": (
        "prune-plan --model=planted/mini --tasks=ChooseAttr --limit=12"
    ),
    "--model=llava-1.5-7b --questions=gqa --images=hub": "--model=planted/mini",
    "--images=hub": "--images=hub:photos",
    "python tools/ship_question_sets.py FOLDER": "true",
    'questions="gqa",': "",
    'images="gqa/images",': "",
}
FEW = (
    "--mmflow-tasks=ChooseAttr --mmflow-mechanisms=acc-95,q-last-drop,imgq-drop1 --mmflow-no-twins"
)
LOST = ("run --model=./tuned", "runs/*-tuned-* --fail-on")
"""The fine-tune lacks a mechanism: a page on gates shows gates that fail."""


@dataclass(frozen=True)
class Reader:
    """Somebody who types what a page shows."""

    folder: Path
    environment: Mapping[str, str]

    def types(self, page: str, *, options: str, fails: Iterable[str] = ()) -> None:
        """The commands of a page, each ending with 1 that names any of `fails`."""
        here = self.environment | {"PYTEST_ADDOPTS": options}
        asked = commands(page)
        assert asked
        for shown in asked:
            command = stood_in(shown)
            status, said = typed(command, self.folder, here)
            assert status == any(name in command for name in fails), said
            assert "Traceback" not in said, said

    def runs(self, page: str, *, before: str = "") -> None:
        """The blocks of Python of a page, one after the other in one program."""
        blocks = python(page)
        assert blocks
        program = self.folder / "page.py"
        program.write_text("\n".join([before, *map(stood_in, blocks)]), encoding="utf-8")
        status, said = typed("python page.py", self.folder, self.environment)
        assert status == 0, said


@pytest.fixture
def reader(environment: Mapping[str, str], tmp_path: Path) -> Reader:
    return Reader(tmp_path, environment)


def stood_in(text: str) -> str:
    for named, own in STAND_INS.items():
        text = text.replace(named, own)
    return text


def put_checkpoints(folder: Path) -> None:
    """`base`, and `tuned`, whose image does not reach the question in the first layers."""
    save("planted/mini", folder / "base")
    mutant = design_of("planted/no-stage-1")
    tuned = replace(MINI, stages=mutant.stages, extra_flags=mutant.extra_flags)
    compiled(tuned).save_pretrained(folder / "tuned")
    processor().save_pretrained(folder / "tuned")


def put_questions(folder: Path) -> None:
    """A checkpoint of the reader's own, photos, and files as GQA, OKVQA and A-OKVQA have them."""
    save("planted/mini", folder / "my-llava")
    scenes = scene_samples(per_task=4, tasks=list(TYPES))
    files = {
        "questions": folder / "val_balanced_questions.json",
        "graphs": folder / "val_sceneGraphs.json",
        "images": folder / "images",
    }
    write_gqa(scenes, **files)
    published = read_questions(question_path("gqa", Path())).samples[:4]
    for sample in published:
        photo = Image.new("RGB", (sample.image_width, sample.image_height), "gray")
        photo.save(files["images"] / f"{sample.image_id}.jpg")
    (folder / "gqa").mkdir()
    (folder / "gqa" / "images").symlink_to(files["images"])
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for path in files["images"].iterdir():
            archive.write(path, path.name)
    ids = [sample.image_id for sample in published]
    photos = [Image.open(files["images"] / f"{image_id}.jpg") for image_id in ids]
    (folder / "photos").mkdir()
    hub = datasets.Dataset.from_dict({"id": ids, "image": photos})
    hub.to_parquet(folder / "photos" / "train.parquet")
    (folder / "okvqa").mkdir()
    okvqa(folder / "okvqa", ["race"] * 10, ["ride"] * 10)
    aokvqa(folder)
    for name, numbers in {"val2014": (297147, 297148), "val2017": (461751,)}.items():
        (folder / name).mkdir()
        for number in numbers:
            Image.new("RGB", (64, 48)).save(folder / name / f"{number:012}.jpg")


def test_gating_and_reporting(reader: Reader) -> None:
    put_checkpoints(reader.folder)
    reader.types("ci.md", options=FEW, fails=LOST)
    reader.types("leaderboard.md", options=f"{FEW} --mmflow-limit=4")
    reader.runs("leaderboard.md")


def test_many_checkpoints(reader: Reader) -> None:
    (reader.folder / "campaign.yaml").write_text(yaml("campaigns.md")[0], encoding="utf-8")
    reader.types("campaigns.md", options=FEW)
    assert (reader.folder / "campaign" / "site" / "index.html").is_file()


def test_questions_of_the_readers_own(reader: Reader) -> None:
    put_questions(reader.folder)
    # Photos of one colour are not answered as the published questions want.
    reader.types("data.md", options=f"{FEW} --mmflow-gate=none")
    reader.runs("data.md")


def test_tracing_pruning_and_options(reader: Reader, installed: Path) -> None:
    scene_samples(per_task=1)[0].image.save(reader.folder / "photo.jpg")
    # The page on options speaks of pytest in a checkout.
    (reader.folder / "suites").symlink_to(installed / "mmflow_bench" / "suites")
    for page in ("trace.md", "pruning.md", "options.md"):
        reader.types(page, options=f"{FEW} --mmflow-limit=4")
    reader.runs("pruning.md")


TRAINING = """
import sys
from functools import partial
import transformers
sys.path.insert(0, {example!r})
from train import Collator
from mmflow_bench.planted.models import build
from mmflow_bench.scenes.questions import scene_samples
model, processor = build("planted/mini")
data = list(scene_samples(per_task=2, seed=100))
arguments = transformers.TrainingArguments(
    output_dir="trainer", max_steps=2, report_to="none", use_cpu=True, save_strategy="no",
    remove_unused_columns=False,
)
Trainer = partial(transformers.Trainer, data_collator=Collator(processor))
"""


def test_training_and_families(reader: Reader) -> None:
    example = str(DOCS.parent / "examples" / "while_it_trains")
    reader.runs("training.md", before=TRAINING.format(example=example))
    assert (reader.folder / "flow").is_dir()
    reader.runs("checkpoints.md")
