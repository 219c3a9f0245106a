"""LoRA adapters and projectors without their language model: W + scale * B A, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from original_llava import OriginalLlava, save_lora, save_native, save_original
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoTokenizer

from mmflow_bench.checkpoints.adapters import merge_adapter
from mmflow_bench.checkpoints.fingerprint import fingerprint
from mmflow_bench.checkpoints.loading import LoadedCheckpoint, load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError

ADAPTER = "adapter_model.safetensors"


@pytest.fixture
def base(tmp_path: Path) -> OriginalLlava:
    return save_original(tmp_path / "base")


def load(folder: Path, **args: str) -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint(str(folder), model_args=args))


def native_weight(checkpoint: LoadedCheckpoint, original_name: str) -> Tensor:
    decoder = checkpoint.model.model.language_model
    return decoder.get_parameter(original_name.removeprefix("model."))


def assert_merged(
    checkpoint: LoadedCheckpoint,
    base: OriginalLlava,
    pairs: dict[str, tuple[Tensor, Tensor]],
    scale: float,
) -> None:
    untouched = 0
    for name, weight in base.language_model.state_dict().items():
        if name == "lm_head.weight":
            continue
        expected = weight
        if name in pairs:
            first, second = pairs[name]
            # Element by element: sum over the rank of B[row, r] * A[r, column].
            product = sum(second[:, r, None] * first[None, r, :] for r in range(len(first)))
            expected = weight + scale * product
        else:
            untouched += 1
        torch.testing.assert_close(native_weight(checkpoint, name), expected)
    assert pairs
    assert untouched


@pytest.mark.parametrize("weights", ["safetensors", "bin"])
@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({}, 2.0),
        ({"lora_alpha": 3}, 1.5),
        ({"use_rslora": True}, 4 / 2**0.5),
        ({"alpha_pattern": {"q_proj": 4.0}, "lora_alpha": 4}, 2.0),
    ],
    ids=["alpha over rank", "alpha", "rslora", "pattern"],
)
def test_an_output_of_the_llava_trainer_is_base_plus_delta(
    tmp_path: Path, base: OriginalLlava, weights: str, settings: dict[str, Any], scale: float
) -> None:
    pairs, projector = save_lora(tmp_path / "lora", base, settings=settings, weights=weights)
    checkpoint = load(tmp_path / "lora")
    assert_merged(checkpoint, base, pairs, scale)
    trained = checkpoint.model.model.multi_modal_projector
    assert torch.equal(trained.linear_1.weight, projector["model.mm_projector.0.weight"])
    assert torch.equal(trained.linear_2.bias, projector["model.mm_projector.2.bias"])
    assert checkpoint.spec.input == "paper"


def test_a_pattern_is_of_some_modules_only(tmp_path: Path, base: OriginalLlava) -> None:
    settings = {"alpha_pattern": {"q_proj": 16.0}, "lora_alpha": 2}
    pairs, _ = save_lora(tmp_path / "lora", base, settings=settings)
    checkpoint = load(tmp_path / "lora")
    for name, (first, second) in pairs.items():
        scale = 8.0 if "q_proj" in name else 1.0
        expected = base.language_model.get_parameter(name) + scale * second @ first
        torch.testing.assert_close(native_weight(checkpoint, name), expected)


@pytest.mark.parametrize("place", ["relative", "argument"])
def test_the_base_is_found(tmp_path: Path, base: OriginalLlava, place: str) -> None:
    named = {"relative": "owner/base", "argument": "gone/for/good"}[place]
    pairs, _ = save_lora(tmp_path / "lora", base, base_name=named)
    args = {"base": str(base.folder)} if place == "argument" else {}
    assert_merged(load(tmp_path / "lora", **args), base, pairs, 2.0)


def test_a_base_that_is_nowhere_is_named(tmp_path: Path, base: OriginalLlava) -> None:
    save_lora(tmp_path / "lora", base, base_name="gone/for/good")
    with pytest.raises(CheckpointError, match="of the base, got 'gone/for/good'"):
        load(tmp_path / "lora")


def test_every_part_counts_for_the_fingerprint(tmp_path: Path, base: OriginalLlava) -> None:
    save_lora(tmp_path / "lora", base)
    spec = resolve_checkpoint(str(tmp_path / "lora"))
    seen = {fingerprint(spec)}
    parts = (
        tmp_path / "lora" / ADAPTER,
        tmp_path / "lora" / "non_lora_trainables.bin",
        base.folder / "model.safetensors",
        base.folder / "tokenizer.json",
        base.tower_folder / "model.safetensors",
        base.tower_folder / "preprocessor_config.json",
    )
    for path in parts:
        path.write_bytes(path.read_bytes() + b" ")
        seen.add(fingerprint(spec))
    assert len(seen) == len(parts) + 1


def spoiled(folder: Path, **changes: Tensor | None) -> None:
    tensors = load_file(folder / ADAPTER)
    for name, tensor in changes.items():
        key = next(key for key in tensors if key.endswith(name.replace("__", ".")))
        if tensor is None:
            del tensors[key]
        else:
            tensors[key] = tensor
    save_file(tensors, folder / ADAPTER)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers__1__self_attn__q_proj__lora_A__weight": None}, "half a pair"),
        ({"layers__1__self_attn__q_proj__lora_A__weight": torch.ones(3, 32)}, r"1\.self_attn\.q"),
        ({"layers__1__self_attn__q_proj__lora_B__weight": torch.ones(9, 2)}, r"1\.self_attn\.q"),
    ],
    ids=["half", "rank", "shape"],
)
def test_an_adapter_that_does_not_fit_is_refused(
    tmp_path: Path, base: OriginalLlava, changes: dict[str, Tensor | None], words: str
) -> None:
    save_lora(tmp_path / "lora", base)
    spoiled(tmp_path / "lora", **changes)
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path / "lora")


def test_a_weight_that_goes_nowhere_is_refused(tmp_path: Path, base: OriginalLlava) -> None:
    save_lora(tmp_path / "lora", base)
    tensors = load_file(tmp_path / "lora" / ADAPTER)
    tensors["base_model.model.model.layers.7.mlp.up_proj.lora_A.weight"] = torch.ones(2, 32)
    save_file(tensors, tmp_path / "lora" / ADAPTER)
    with pytest.raises(CheckpointError, match=r"goes to no weight.*layers\.7\.mlp\.up_proj"):
        load(tmp_path / "lora")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"use_dora": True}, "use_dora"),
        ({"base_model_name_or_path": None}, "base_model_name_or_path"),
    ],
    ids=str,
)
def test_an_adapter_of_another_kind_is_refused(
    tmp_path: Path, base: OriginalLlava, settings: dict[str, Any], words: str
) -> None:
    save_lora(tmp_path / "lora", base, settings=settings)
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path / "lora")


def test_an_adapter_without_weights_is_refused(tmp_path: Path, base: OriginalLlava) -> None:
    save_lora(tmp_path / "lora", base)
    (tmp_path / "lora" / ADAPTER).unlink()
    with pytest.raises(CheckpointError, match="adapter_model"):
        load(tmp_path / "lora")


def test_weights_of_another_layout_are_turned(tmp_path: Path) -> None:
    model = nn.ModuleDict({"layer": nn.Linear(3, 5, bias=False)})
    model["layer"].weight = nn.Parameter(torch.zeros(3, 5))
    first, second = torch.randn(2, 3), torch.randn(5, 2)
    named = {"layer.lora_A.weight": first, "layer.lora_B.weight": second}
    save_file({f"base_model.model.{k}": v for k, v in named.items()}, tmp_path / ADAPTER)
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "fan_in_fan_out": True}
    tmp_path.joinpath("adapter_config.json").write_text(json.dumps(settings))
    # The layer computes x W, so its change is (B A) transposed.
    with pytest.raises(CheckpointError, match="shape"):
        merge_adapter(nn.ModuleDict({"layer": nn.Linear(9, 9)}), tmp_path)
    merge_adapter(model, tmp_path)
    torch.testing.assert_close(model["layer"].weight, (second @ first).T)


def peft_folder(folder: Path, base: str, tensors: dict[str, Tensor]) -> None:
    folder.mkdir()
    settings = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 6,
        "base_model_name_or_path": base,
        "target_modules": ["q_proj"],
    }
    folder.joinpath("adapter_config.json").write_text(json.dumps(settings))
    save_file({f"base_model.model.{k}": v for k, v in tensors.items()}, folder / ADAPTER)


@pytest.mark.parametrize(
    "prefix", ["model.language_model.", "language_model.model."], ids=["new names", "old names"]
)
@pytest.mark.parametrize("as_argument", [True, False])
def test_a_peft_adapter_on_a_converted_checkpoint(
    tmp_path: Path, base: OriginalLlava, prefix: str, as_argument: bool
) -> None:
    save_native(base, tmp_path / "native")
    first, second = torch.randn(2, 32), torch.randn(32, 2)
    module = f"{prefix}layers.1.self_attn.q_proj"
    head = torch.randn(380 + 64, 32)
    tensors = {
        f"{module}.lora_A.weight": first,
        f"{module}.lora_B.weight": second,
        "lm_head.modules_to_save.weight": head,
    }
    peft_folder(tmp_path / "peft", str(tmp_path / "native"), tensors)
    if as_argument:
        checkpoint = load(tmp_path / "native", adapter=str(tmp_path / "peft"))
    else:
        checkpoint = load(tmp_path / "peft")
    name = "layers.1.self_attn.q_proj.weight"
    expected = base.language_model.model.get_parameter(name) + 3 * second @ first
    torch.testing.assert_close(native_weight(checkpoint, name), expected)
    assert torch.equal(checkpoint.model.lm_head.weight, head)
    assert checkpoint.spec.input == "hub"


def test_a_merge_is_that_of_peft(tmp_path: Path, base: OriginalLlava) -> None:
    peft = pytest.importorskip("peft", reason="needs the package peft")
    pairs, _ = save_lora(tmp_path / "lora", base, settings={"use_rslora": True})
    merged = peft.PeftModel.from_pretrained(base.language_model, tmp_path / "lora")
    expected = merged.merge_and_unload().state_dict()
    checkpoint = load(tmp_path / "lora")
    for name in pairs:
        torch.testing.assert_close(native_weight(checkpoint, name), expected[name])


def test_a_projector_alone_needs_its_language_model(tmp_path: Path, base: OriginalLlava) -> None:
    language = tmp_path / "vicuna"
    base.language_model.save_pretrained(language)
    base.tokenizer.save_pretrained(language)
    pretrained = tmp_path / "pretrained"
    pretrained.mkdir()
    pretrained.joinpath("config.json").write_text(json.dumps(base.config))
    projector = {f"model.mm_projector.{k}": v for k, v in base.projector.state_dict().items()}
    torch.save(projector, pretrained / "mm_projector.bin")
    with pytest.raises(CheckpointError, match=r"base=PATH"):
        load(pretrained)
    checkpoint = load(pretrained, base=str(language))
    pixels = torch.randn(1, 3, 28, 28)
    ids = [1, 5, *[checkpoint.parts.image_token_id] * 16, 7]
    with torch.no_grad():
        found = checkpoint.model(input_ids=torch.tensor([ids]), pixel_values=pixels).logits
    assert torch.equal(found, base.expected_logits([1, 5], pixels, [7]))
    assert len(AutoTokenizer.from_pretrained(language)) + 1 == len(checkpoint.tokenizer)
