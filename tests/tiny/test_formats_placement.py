"""Models that accelerate has spread or offloaded compute what whole ones do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from original_llava import OriginalLlava, save_lora, save_native, save_original

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> OriginalLlava:
    folder = tmp_path_factory.mktemp("placement")
    saved = save_original(folder / "original")
    save_native(saved, folder / "native")
    save_lora(folder / "lora", saved)
    return saved


def load(folder: Path, **args: str) -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint(str(folder), model_args=args))


@torch.no_grad()
def logits(checkpoint: LoadedCheckpoint) -> torch.Tensor:
    pixels = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    ids = [1, 5, *[checkpoint.parts.image_token_id] * 16, 7]
    return checkpoint.model(input_ids=torch.tensor([ids]), pixel_values=pixels).logits


@pytest.mark.parametrize("name", ["original", "native"])
@pytest.mark.parametrize("where", ["cpu", "auto"])
def test_a_map_to_one_device_is_that_device(original: OriginalLlava, name: str, where: str) -> None:
    folder = original.folder.parent / name
    assert torch.equal(logits(load(folder, device_map=where)), logits(load(folder)))


@pytest.mark.parametrize("name", ["original", "native"])
def test_what_does_not_fit_is_read_from_the_disk(
    original: OriginalLlava, name: str, tmp_path: Path
) -> None:
    folder = original.folder.parent / name
    limits = {"max_memory": "cpu:120KB", "offload_folder": str(tmp_path)}
    spread = load(folder, device_map="auto", **limits)
    assert set(spread.model.hf_device_map.values()) == {"cpu", "disk"}
    assert any(parameter.is_meta for parameter in spread.model.parameters())
    assert torch.equal(logits(spread), logits(load(folder)))
    assert spread.fingerprint == load(folder).fingerprint
    assert not spread.spec.model_args


def test_an_adapter_needs_the_weights_in_one_place(original: OriginalLlava) -> None:
    with pytest.raises(CheckpointError, match="an adapter on weights that are loaded as a whole"):
        load(original.folder.parent / "lora", device_map="auto")
