"""`mmflow build-set` on rendered scenes in GQA's format, and what the set is good for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gqa_files import TYPES, write_gqa

from mmflow_bench.cli.main import main
from mmflow_bench.inputs.questions import read_questions
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.scenes.questions import scene_samples

pytestmark = pytest.mark.slow


@pytest.fixture
def samples() -> tuple[Sample, ...]:
    return scene_samples(per_task=6, tasks=list(TYPES))


@pytest.fixture
def build_set(
    tmp_path: Path, samples: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run the command on the scenes; the first answer of each task is wrong in the file."""
    monkeypatch.setenv("MMFLOW_CACHE", str(tmp_path / "cache"))
    first, other = samples[0], samples[6]
    changes = {
        first.question_id: {"answer": first.false_option},
        other.question_id: {"answer": "right" if other.answer == "left" else "left"},
    }
    files = {name: tmp_path / f"{name}.json" for name in ("questions", "graphs")}
    write_gqa(samples, **files, images=tmp_path / "images", changes=changes)

    def run(*arguments: str) -> Result:
        files = [f"--gqa-questions={tmp_path / 'questions.json'}"]
        files += [f"--scene-graphs={tmp_path / 'graphs.json'}"]
        return CliRunner().invoke(main, ["build-set", *files, *arguments])

    return run


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_what_the_model_answers_correctly_is_kept_and_the_rest_is_counted(
    suffix: str, build_set: Callable[..., Result], samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    output = tmp_path / f"set.{suffix}"
    images = f"--images={tmp_path / 'images'}"
    done = build_set("--model=planted/mini", images, f"--output={output}")
    assert done.exit_code == 0, done.output
    kept = read_questions(output, images=tmp_path / "images")
    assert kept.unscored == ()
    expected = {s.question_id for s in samples} - {samples[0].question_id, samples[6].question_id}
    assert {sample.question_id for sample in kept.samples} == expected
    asked = {s.question_id: s for s in samples}
    for sample in kept.samples:
        assert sample.boxes == asked[sample.question_id].boxes
        assert sample.true_option == asked[sample.question_id].true_option
    counts = json.loads((tmp_path / "set.counts.json").read_text())
    assert counts["ChooseAttr"] == {
        "candidates": 6,
        "asked": 6,
        "accuracy": 5 / 6,
        "kept": 5,
        "left_out": {"answered-incorrectly": 1},
    }
    assert "ChooseAttr: 5 of 6 (accuracy 83.3% of 6 asked)" in done.output


def test_no_more_are_kept_than_wanted_and_the_seed_says_which(
    build_set: Callable[..., Result], tmp_path: Path
) -> None:
    def ids(*arguments: str) -> list[str]:
        output = tmp_path / "set.csv"
        done = build_set("--no-filter", "--per-task=3", *arguments, f"--output={output}")
        assert done.exit_code == 0, done.output
        return [sample.question_id for sample in read_questions(output).samples]

    first = ids()
    assert len(first) == 6
    assert first == ids("--seed=0")
    assert any(first != ids(f"--seed={seed}") for seed in (1, 2, 3))
    assert len(ids("--tasks=Query*")) == 3
    counts = json.loads((tmp_path / "set.counts.json").read_text())
    assert counts["QueryAttr"] == {"candidates": 6, "kept": 3, "left_out": {"not-needed": 3}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--output=set.csv",), "--no-filter"),
        (("--output=set.csv", "--model=planted/mini"), "--images"),
        (("--output=set.csv", "--model=planted/mini", "--no-filter"), "--no-filter"),
        (("--output=set.xlsx", "--no-filter"), "set.xlsx"),
        (("--no-filter",), "--output"),
        (("--output=set.csv", "--no-filter", "--tasks=Qeury*"), "'Qeury*' (--tasks); did you mean"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(
    build_set: Callable[..., Result], arguments: tuple[str, ...], said: str
) -> None:
    done = build_set(*arguments)
    assert done.exit_code == 2
    assert said in done.output
    assert "Traceback" not in done.output
