"""A gate on real checkpoints that have lost what they answer, or whose comparison says nothing.

Through the command, and again from the run folders that it leaves: `mmflow compare` says the same.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from forked import run_module
from safetensors.torch import load_file, save_file

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.inputs.writing import write_samples
from mmflow_bench.planted.models import build, save
from mmflow_bench.scenes.questions import scene_samples

pytestmark = pytest.mark.slow

SUITES = Path(__file__).parents[2] / "suites"
FEW = ("--mechanisms=acc-95,q-last-drop,imgq-drop1", "--no-twins")
FAIL_ON = " (--fail-on=regression)"
SCENES = scene_samples(per_task=14)
FIVE = ("left", "right", "color", "material", "yes", "no", "cup", "box", "ball", "lamp")
"""Answers of all tasks but one."""


@dataclass(frozen=True)
class Ended:
    code: int
    printed: str
    folder: Path | None

    @property
    def gate(self) -> str:
        """What the gate says, without its name."""
        said = [line for line in self.printed.splitlines() if line.startswith("gate (")]
        decision, *worth = [line.partition("): ")[2] for line in said] or [""]
        assert all(line.startswith("could have seen") for line in worth)
        return decision


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints, as transformers saves them, and the images of all scenes."""
    folder = tmp_path_factory.mktemp("gate")
    for sample in SCENES:
        sample.image.save(folder / f"{sample.image_id}.png")
    save("planted/mini", folder / "base")
    return folder


@pytest.fixture(scope="module")
def unlearned(place: Path) -> Callable[..., str]:
    """A checkpoint that cannot say some words any more; what it computes inside is the same."""

    def make(*words: str) -> str:
        name = "-".join(("without", *words))[:40]
        if not (place / name).exists():
            save("planted/mini", place / name)
            tokenizer = build("planted/mini")[1].tokenizer
            path = place / name / "model.safetensors"
            weights = load_file(path)
            (head,) = [key for key in weights if key.endswith("lm_head.weight")]
            said = [*words, *(word.capitalize() for word in words)]
            weights[head][tokenizer.convert_tokens_to_ids(said)] *= -1
            save_file(weights, path, metadata={"format": "pt"})
        return name

    return make


@pytest.fixture(scope="module")
def gated(place: Path) -> Callable[..., Ended]:
    """Run the suites as a user does."""

    def run(*arguments: str, questions: Sequence[Sample] = (), few: Sequence[str] = FEW) -> Ended:
        write_samples(questions, place / "questions.jsonl")
        known = set(place.glob("runs/*"))
        ended = called(
            place, "pytest", str(SUITES), "-q", "-p", "no:cacheprovider", *few, *arguments,
            "--questions=questions.jsonl", "--images=.", "--mmflow-output=runs",
        )  # fmt: skip
        new = sorted(set(place.glob("runs/*")) - known)
        return Ended(ended.returncode, ended.stdout + ended.stderr, new[0] if new else None)

    return run


@pytest.fixture(scope="module")
def again(place: Path) -> Callable[[Path], tuple[int, str]]:
    """Exit code and decision of `mmflow compare` on what a run has left."""

    def compare(folder: Path) -> tuple[int, str]:
        runs = (str(folder / "baseline"), str(folder))
        ended = called(place, "mmflow_bench.cli", "compare", *runs)
        (line,) = [one for one in ended.stdout.splitlines() if one.endswith(FAIL_ON)]
        return ended.returncode, line.removesuffix(FAIL_ON)

    return compare


def called(place: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"MMFLOW_CACHE": str(place / "store"), "COLUMNS": "200"}
    return run_module(module, arguments, cwd=place, env=environment)


def of(task: str, *answers: str) -> list[Sample]:
    """The first scenes of a task with these answers."""
    left = [sample for sample in SCENES if sample.task == task]
    found = []
    for answer in answers:
        found.append(next(sample for sample in left if sample.answer == answer))
        left.remove(found[-1])
    return found


AGAINST_BASE = "--baseline=./base"
ATTRIBUTES = of("ChooseAttr", "red", "red", "blue")


def test_an_empty_question_set_is_no_pass(gated):
    ended = gated("--model=./base")
    assert ended.code == 1
    assert "gate (mechanisms): failed: no question of the checkpoint could be used" in ended.printed


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_two_checkpoints_that_answer_nothing_are_not_unchanged(gated, again, workers):
    wrong = [replace(sample, answer="left") for sample in ATTRIBUTES]
    ended = gated("--model=./base", AGAINST_BASE, *workers, questions=wrong)
    assert ended.code == 1
    assert "every task is below its precondition of 90% (ChooseAttr 0 of 3 correct)" in ended.gate
    assert "no flow was compared, only accuracy (1 rows)" in ended.gate
    assert again(ended.folder) == (3, ended.gate)
    rows = json.loads((ended.folder / "comparison.json").read_text())["rows"]
    assert {(row["id"], row["verdict"]) for row in rows if row["id"] != "acc-95"} == {
        ("q-last-drop", "not-comparable"),
        ("imgq-drop1", "not-comparable"),
    }


def test_tasks_that_are_not_mastered_any_more_are_named(gated, again, unlearned):
    tasks = dict.fromkeys(sample.task for sample in SCENES)
    two = [s for task in tasks for s in [s for s in SCENES if s.task == task][1:3]]
    ended = gated(f"--model=./{unlearned(*FIVE)}", AGAINST_BASE, questions=two)
    assert ended.code == 1
    assert "below the precondition of 90% that the baseline meets: ChooseCat (2 of 2" in ended.gate
    assert "accuracy fell by more than 5%" in ended.gate
    code, line = again(ended.folder)
    assert (code, line) == (1, ended.gate)


def test_an_accuracy_that_fell_on_three_tasks_is_listed_and_fails(gated, again, unlearned):
    questions = [
        *of("ChooseAttr", "green", *["red"] * 4, *["blue"] * 3),
        *of("ChooseCat", "ball", *["cup"] * 4, *["box"] * 3),
        *of("ChooseRel", "left", *["right"] * 7),
    ]
    tuned = unlearned("green", "ball", "left")
    ended = gated(f"--model=./{tuned}", AGAINST_BASE, questions=questions)
    assert ended.code == 1
    fell = "accuracy fell by more than 5% (--tolerance=accuracy=): ChooseAttr 100% to 87.5%"
    assert fell in ended.gate
    assert again(ended.folder) == (1, ended.gate)
    rows = json.loads((ended.folder / "comparison.json").read_text())["rows"]
    assert len(rows) == 9
    assert {row["reason"] for row in rows if row["verdict"] == "not-comparable"} == {
        "the checkpoint is below its precondition (7 of 8 correct, 90% are needed)"
    }


def test_a_baseline_whose_self_test_failed_is_none(gated, again, place):
    broken = place / "suppressed"
    save("planted/mini", broken)
    tokenizer = build("planted/mini")[1].tokenizer
    said = json.loads((broken / "generation_config.json").read_text())
    said["suppress_tokens"] = tokenizer.convert_tokens_to_ids(["Red", "Blue"])
    (broken / "generation_config.json").write_text(json.dumps(said))
    ended = gated("--model=./base", "--baseline=./suppressed", questions=ATTRIBUTES)
    assert ended.code == 1
    assert "the self-test failed on the baseline (answer-tokens)" in ended.gate
    assert again(ended.folder) == (3, ended.gate)


def test_flow_that_is_gone_is_red_also_where_few_samples_do_not_show_it(gated, again):
    ended = gated(
        "--model=planted/direct",
        "--baseline=planted/base",
        questions=ATTRIBUTES[1:],
        few=("--mechanisms=q-last-drop,imgq-drop1", "--no-twins", "--no-self-test"),
    )
    assert ended.code == 1
    lost = "failed: a drop that the baseline shows is not in the checkpoint: "
    assert ended.gate.startswith(("failed: changed: ", "failed: undecided: ", lost))
    assert "q-last-drop" in ended.gate
    assert again(ended.folder) in [(1, ended.gate), (4, ended.gate)]
