"""From nothing to a checkpoint that loads, in four steps; and on again after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_gemma import TINY

from mmflow_bench.checkpoints.reading import read_model
from mmflow_bench.checkpoints.registry import resolve_checkpoint


def recipe(**changes):
    from runs import Recipe

    return Recipe(**{**TINY, **changes})


pytestmark = pytest.mark.usefixtures("without_gemma")


def test_a_training_leaves_a_checkpoint_and_its_curves(tmp_path: Path) -> None:
    import make

    make.main(tmp_path / "run", recipe())
    folder = tmp_path / "run"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    stages = ["tower"] * 3 + ["projector"] * 3 + ["language model"] * 4 + ["held out"]
    assert [line["stage"] for line in lines] == stages
    assert (folder / "curves.svg").read_text().count("<svg") == 1
    names = sorted(path.name for path in (folder / "steps").iterdir())
    assert names == ["0000", "0002", "0004"]
    model, processor = read_model(resolve_checkpoint(str(folder / "adapter")))
    kept = load_file(folder / "language-model.safetensors")
    learned = kept["projector.linear_1.weight"].bfloat16()
    assert torch.equal(model.model.multi_modal_projector.linear_1.weight.bfloat16(), learned)
    assert processor.image_token == "<start_of_image>"


def test_an_adapter_is_what_the_student_had_learned(tmp_path: Path) -> None:
    import make
    from lora import SCALE

    make.main(tmp_path / "run", recipe(learning_rate=0.05))
    folder = tmp_path / "run"
    base, _ = read_model(resolve_checkpoint(str(folder / "base")))
    tuned, _ = read_model(resolve_checkpoint(str(folder / "adapter")))
    kept = load_file(folder / "language-model.safetensors")
    name = "1.mlp.down_proj"
    added = SCALE * kept[f"{name}.lora_B"] @ kept[f"{name}.lora_A"]
    before, after = (
        model.get_submodule(f"model.language_model.layers.{name}").weight.float()
        for model in (base, tuned)
    )
    assert added.abs().max() > 0.01
    assert torch.allclose(after - before, added, atol=0.02 * before.abs().max().item())


def test_what_was_interrupted_ends_as_what_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import make
    import tuning

    make.main(tmp_path / "whole", recipe())
    plain = tuning.training_batch

    def interrupted(step, *others):
        if step == 3:
            raise KeyboardInterrupt
        return plain(step, *others)

    monkeypatch.setattr(tuning, "training_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make.main(tmp_path / "broken", recipe())
    monkeypatch.setattr(tuning, "training_batch", plain)
    make.main(tmp_path / "broken", recipe())
    whole, broken = (
        load_file(tmp_path / name / "language-model.safetensors") for name in ("whole", "broken")
    )
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_another_recipe_wants_another_folder(tmp_path: Path) -> None:
    from runs import Run

    Run(tmp_path, recipe())
    Run(tmp_path, recipe())
    with pytest.raises(ValueError, match=r"begun with .*recipe.json.*name another folder"):
        Run(tmp_path, recipe(steps=5))


def test_the_command_line_names_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    import make

    monkeypatch.setattr("sys.argv", ["make.py", "there", "--seed=3", "--learning-rate=0.1"])
    folder, asked = make.asked()
    assert folder == Path("there")
    assert (asked.seed, asked.learning_rate, asked.steps) == (3, 0.1, 200)
