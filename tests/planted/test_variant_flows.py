"""What single variants are for, measured by masks, hooks and hidden states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.planted.additions import CODE_LAYER
from mmflow_bench.planted.residual import dimension
from mmflow_bench.scenes.questions import scene_samples, tiled_scene_samples

Checkpoints = Callable[[str], Any]


@pytest.fixture
def sample() -> Sample:
    return scene_samples(per_task=1, seed=4, tasks=["ChooseAttr"])[0]


def change(checkpoint: Any, sample: Sample, edge: str, window: range) -> float:
    token = checkpoint.token(sample.answer.capitalize())
    knocked, clean = checkpoint.knocked_out(sample, edge, [window, range(0)])[:, token].tolist()
    return knocked / clean - 1


@torch.inference_mode()
def states(checkpoint: Any, sample: Sample) -> list[Tensor]:
    output = checkpoint.model(**checkpoint.encode(sample), output_hidden_states=True)
    return [state[0] for state in output.hidden_states]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("planted/base", -1e-4, 1e-4),
        ("planted/suffix-bypass", -0.99, -0.30),
        ("planted/suffix-readout", -0.99, -0.90),
    ],
)
def test_the_suffix_carries_what_its_design_says(
    planted: Checkpoints, sample: Sample, name: str, low: float, high: float
) -> None:
    assert low <= change(planted(name), sample, "suffix->last", range(40)) <= high


def test_cutting_the_false_option_raises_the_answer_and_the_true_one_lowers_it(
    planted: Checkpoints, sample: Sample
) -> None:
    checkpoint = planted("planted/true-false-option")
    window = range(18, 27)
    assert change(checkpoint, sample, "false_option->last", window) > 0.08
    assert change(checkpoint, sample, "true_option->last", window) < -0.08
    assert change(planted("planted/base"), sample, "false_option->last", window) < 1e-4


def test_the_sink_trap_drops_although_nothing_is_read(planted: Checkpoints, sample: Sample) -> None:
    checkpoint = planted("planted/sink-trap")
    before, after = states(checkpoint, sample)[:2]
    # the last position reads these words of the question and no other
    asked = before[:, dimension("question")] > 0.5
    assert asked.sum() > 3
    assert torch.allclose(before[asked], after[asked], atol=1e-6)
    assert change(checkpoint, sample, "image->question", range(1)) == pytest.approx(-0.46, abs=0.01)


def test_the_backup_head_hides_a_flow_from_every_single_layer(
    planted: Checkpoints, sample: Sample
) -> None:
    checkpoint = planted("planted/backup-head")
    for window in (range(1), range(12, 13)):
        assert abs(change(checkpoint, sample, "other_patches->question", window)) < 1e-4
    everywhere = change(checkpoint, sample, "other_patches->question", range(40))
    assert everywhere == pytest.approx(-0.60, abs=1e-3)


@pytest.mark.parametrize(("name", "is_linear"), [("dose-hard", False), ("dose-linear", True)])
def test_a_dose_of_blocked_patches_has_the_planted_response(
    planted: Checkpoints, sample: Sample, name: str, is_linear: bool
) -> None:
    checkpoint = planted(f"planted/{name}")
    positions = checkpoint.positions(sample)
    token = checkpoint.token(sample.answer.capitalize())

    def logit(share: float) -> float:
        # other patches are drawn objects too: blocking those changes nothing
        patches = positions["other_patches"][: round(share * len(positions["other_patches"]))]
        chance = checkpoint.without(sample, patches, positions["question"], [range(1)])[0, token]
        return float(torch.logit(chance))

    losses = [logit(0.0) - logit(share) for share in (0.25, 0.5, 0.75, 1.0)]
    for share, loss in zip((0.25, 0.5, 0.75), losses, strict=False):
        expected = share * losses[-1] if is_linear else 0.0
        assert loss == pytest.approx(expected, abs=0.15 * losses[-1])


@pytest.mark.parametrize(("name", "answers"), [("prune-safe", True), ("prune-unsafe", False)])
def test_late_layers_need_the_image_only_where_that_is_planted(
    planted: Checkpoints, name: str, answers: bool
) -> None:
    checkpoint = planted(f"planted/{name}")
    right = []
    for sample in scene_samples(per_task=2, seed=4):
        image = checkpoint.positions(sample)["image"]
        rest = range(image[-1] + 1, checkpoint.positions(sample)["last"][0] + 1)
        chances = checkpoint.without(sample, image, list(rest), [range(20, 40)])[0]
        right.append(int(chances.argmax()) == checkpoint.token(sample.answer.capitalize()))
    assert sum(right) == len(right) if answers else sum(right) <= len(right) / 3


@pytest.mark.parametrize(
    ("module", "expected"), [("mlp", (4, 16)), ("self_attn", (7, 13)), ("input_layernorm", None)]
)
def test_the_codebook_loses_what_a_module_says(
    planted: Checkpoints,
    silenced: Any,
    sample: Sample,
    module: str,
    expected: tuple[int, int] | None,
) -> None:
    checkpoint = planted("planted/module-codebook")
    question = checkpoint.positions(sample)["question"]
    layers = checkpoint.model.model.language_model.layers
    clean = top_ten(checkpoint, sample, question)
    if expected is None:  # a window past the codes
        modules = [layer.self_attn for layer in layers[CODE_LAYER + 1 : CODE_LAYER + 10]]
    else:
        modules = [getattr(layer, module) for layer in layers[: CODE_LAYER + 5]]
    with silenced(modules, question):
        knocked = top_ten(checkpoint, sample, question)
    assert len(clean) == 10
    shared, either = expected or (10, 10)
    assert (len(clean & knocked), len(clean | knocked)) == (shared, either)


def top_ten(checkpoint: Any, sample: Sample, positions: Sequence[int]) -> set[int]:
    """The ten most probable tokens at any of the positions."""
    with torch.inference_mode():
        logits = checkpoint.model(**checkpoint.encode(sample)).logits[0, positions]
    return set(logits.topk(10).indices.flatten().tolist())


def test_raw_and_normed_lens_disagree_where_the_norm_mutes_a_spelling(
    planted: Checkpoints, sample: Sample
) -> None:
    highest = {}
    for name in ("planted/base", "planted/lens-mode"):
        checkpoint = planted(name)
        # transformers gives the last state after the norm already
        last = torch.stack([state[-1] for state in states(checkpoint, sample)[:-1]])
        norm, head = checkpoint.model.model.language_model.norm, checkpoint.model.lm_head
        with torch.inference_mode():
            chances = [head(read).softmax(-1) for read in (last, norm(last))]
        token = checkpoint.token(sample.answer)
        highest[name] = [round(float(chance[:, token].max()), 2) for chance in chances]
    assert highest == {"planted/base": [0.52, 0.52], "planted/lens-mode": [0.52, 0.04]}


def test_heads_of_the_grouped_query_variant_share_keys(planted: Checkpoints) -> None:
    config = planted("planted/grouped-query").model.config.text_config
    assert (config.num_hidden_layers, config.num_attention_heads) == (32, 4)
    assert config.num_key_value_heads == 2


def test_tiles_of_the_tiled_variant_follow_the_shape_of_the_image(planted: Checkpoints) -> None:
    checkpoint = planted("planted/tiled")
    counts = {
        sample.image.size: len(checkpoint.positions(sample)["image"])
        for sample in tiled_scene_samples(per_task=14)
    }
    # an overview of 36 patches, then 6 rows of 6 or of 12 patches with a newline each
    assert counts == {(84, 84): 36 + 6 * 7, (168, 84): 36 + 6 * 13}
