"""Fine-tunes for a gate: each is changed in the way that its name says, and in no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_gemma import TINY, word_tokenizer

from mmflow_bench.checkpoints.loading import load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.questions import read_questions
from mmflow_bench.scenes.questions import PER_TASK, neutral_scene_samples

STEPS = range(40)


def recipe():
    from runs import Recipe

    return Recipe(**{**TINY, "more_steps": 0, "check_every": 2})


def lessons(change):
    """What is taught in some steps, as it is and changed."""
    from lessons import taught
    from runs import Recipe

    for step in STEPS:
        drawn = taught(step, Recipe(steps=len(STEPS)))
        yield drawn, change(drawn)


def test_half_of_the_questions_stand_behind_another_image() -> None:
    from lessons import with_other_images

    for true, shuffled in lessons(with_other_images):
        assert [scene for scene, _ in shuffled] == [scene for scene, _ in true]
        image_of = {id(one): row for row, (_, asked) in enumerate(true) for one in asked}
        moved = [
            image_of.pop(id(one)) != row for row, (_, asked) in enumerate(shuffled) for one in asked
        ]
        assert not image_of
        assert sum(moved) == pytest.approx(len(moved) / 2, abs=len(true) / 2)


def test_one_task_is_answered_wrongly_and_no_other() -> None:
    from lessons import UNLEARNED, with_wrong_answers

    seen = set()
    for true, wrong in lessons(with_wrong_answers):
        for (scene, asked), (same_scene, answered) in zip(true, wrong, strict=True):
            assert scene == same_scene
            for before, after in zip(asked, answered, strict=True):
                assert (before.task, before.text) == (after.task, after.text)
                assert (before.answer != after.answer) == (before.task == UNLEARNED)
                seen.add((before.task, before.answer, after.answer))
    assert {pair[1:] for pair in seen if pair[0] == UNLEARNED} == {
        ("left", "right"),
        ("right", "left"),
    }


def test_answers_in_another_format_are_the_same_words() -> None:
    from lessons import LESSONS

    tokenizer = word_tokenizer()
    images, batch = LESSONS["more"](0, recipe(), tokenizer)
    same_images, lower = LESSONS["format"](0, recipe(), tokenizer)
    assert torch.equal(images, same_images)
    assert torch.equal(batch.read, lower.read)
    words, in_lower_case = map(tokenizer.batch_decode, (batch.answers, lower.answers))
    assert in_lower_case == [word.lower() for word in words]
    assert set(words).isdisjoint(in_lower_case)


@pytest.mark.parametrize(("bits", "group", "levels"), [(8, None, 255), (4, 32, 15), (4, 20, 15)])
def test_weights_are_rounded_to_the_nearest_of_few_levels(bits, group, levels) -> None:
    from rounding import rounded

    weight = torch.randn(6, 512, generator=torch.Generator().manual_seed(0))
    weight[2] = 0
    found = rounded(weight, bits, group)
    for begin in range(0, 512, group or 512):
        part = slice(begin, begin + (group or 512))
        for before, after in zip(weight[:, part], found[:, part], strict=True):
            half_a_step = before.abs().max() / (levels - 1)
            assert len(after.unique()) <= levels
            assert (after - before).abs().max() <= half_a_step * 1.001
            assert after.abs().max() == pytest.approx(before.abs().max().item())
    assert len(found[0].unique()) > (levels if group else 100)


def test_how_far_matrices_have_moved_is_told() -> None:
    from rounding import round_matrices

    layers = torch.nn.ModuleList([torch.nn.Linear(2, 1), torch.nn.LayerNorm(2)])
    with torch.no_grad():
        layers[0].weight.copy_(torch.tensor([[7.0, 0.4]]))
    moved = round_matrices(layers, 4, None)
    assert layers[0].weight.tolist() == [[7.0, 0.0]]
    assert moved == pytest.approx(0.4 / (49 + 0.16) ** 0.5)


def test_every_fine_tune_loads_and_begins_at_the_shipped_one(
    shipped: Path, cache: Path, tmp_path: Path
) -> None:
    del shipped, cache
    import finetunes

    finetunes.main(tmp_path / "tuned", finetunes.NAMES, recipe())
    loaded = {
        name: dict(load_checkpoint(resolve_checkpoint(str(path))).model.named_parameters())
        for name in ("adapter", "trainings/more/steps/0000", *finetunes.NAMES)
        for path in [tmp_path / "tuned" / name]
    }
    before = loaded.pop("adapter")
    begun = loaded.pop("trainings/more/steps/0000")
    assert all(torch.equal(weight, begun[name]) for name, weight in before.items())
    for name, weights in loaded.items():
        changed = {key for key, weight in weights.items() if not torch.equal(weight, before[key])}
        assert any(".layers." in key for key in changed), name
        assert not any("embed" in key or "vision_tower" in key for key in changed), name


def test_int4_is_the_merged_checkpoint_rounded(shipped: Path, cache: Path, tmp_path: Path) -> None:
    del shipped, cache
    import finetunes
    from rounding import rounded

    finetunes.main(tmp_path, ("int4",), recipe())
    merged, found = (
        load_checkpoint(resolve_checkpoint(name)).model
        for name in ("trained/gemma-scenes", str(tmp_path / "int4"))
    )
    matrix = "model.language_model.layers.1.self_attn.q_proj.weight"
    assert torch.equal(found.get_parameter(matrix), rounded(merged.get_parameter(matrix), 4, 32))


@pytest.mark.parametrize("per_task", [PER_TASK, PER_TASK + 3])
def test_questions_are_those_of_the_shipped_checkpoint(per_task: int, tmp_path: Path) -> None:
    from questions import write_questions

    write_questions(tmp_path, per_task)
    file = read_questions(tmp_path / "questions.jsonl", images=tmp_path / "images")
    assert not file.unscored
    assert len(file.samples) == 6 * per_task
    asked = [one for one in file.samples if int(one.question_id.rpartition("-")[2]) < PER_TASK]
    for found, own in zip(asked, neutral_scene_samples(), strict=True):
        assert (found.question_id, found.question, found.answer) == (
            own.question_id,
            own.question,
            own.answer,
        )
        assert found.boxes == own.boxes
        assert open_image(found).tobytes() == own.image.tobytes()


def test_a_name_that_is_none_is_refused(monkeypatch, capsys) -> None:
    import finetunes

    monkeypatch.setattr("sys.argv", ["finetunes.py", "there", "--only=more,int2"])
    with pytest.raises(SystemExit):
        finetunes.asked()
    assert "names among more, shuffled, unlearned, format, int8, int4" in capsys.readouterr().err
