"""What a GGUF file says of itself is compared with the names in it, before anything is built."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from mmflow_bench.checkpoints.fitting import refuse_endless
from mmflow_bench.errors import CheckpointError

BILLION = 10**9


def gguf(folder: Path, *, said: bytes, key: bytes = b"llama.block_count") -> Path:
    """A file with one number in its header and the names of two blocks."""
    path = folder / "model.gguf"
    names = b"".join(b"blk.%d.attn_q.weight" % block for block in range(2))
    path.write_bytes(b"GGUF" + key + said + bytes(8) + names)
    return path


@pytest.mark.parametrize(("kind", "form"), [(4, "<I"), (5, "<i"), (10, "<Q"), (11, "<q")])
def test_the_blocks_of_a_gguf_file_are_those_that_it_says(
    tmp_path: Path, kind: int, form: str
) -> None:
    def file(count: int) -> Path:
        return gguf(tmp_path, said=struct.pack("<I", kind) + struct.pack(form, count))

    refuse_endless({}, [file(2)])
    for count in (0, 1, 3, BILLION):
        with pytest.raises(CheckpointError, match=f"weights of {count} blocks.*got 2 .*gguf"):
            refuse_endless({}, [file(count)])


def test_experts_of_a_gguf_file_are_bounded(tmp_path: Path) -> None:
    said = struct.pack("<II", 4, BILLION)
    with pytest.raises(CheckpointError, match="expert_count = 1000000000"):
        refuse_endless({}, [gguf(tmp_path, said=said, key=b"llama.expert_count")])


@pytest.mark.parametrize("key", ["num_hidden_layers", "n_layer", "encoder_layers", "num_experts"])
def test_whatever_layers_are_called_they_are_bounded(key: str) -> None:
    refuse_endless({"text_config": {key: 128}}, [])
    for most in (BILLION, 1e12, 10**400, [2, BILLION]):
        with pytest.raises(CheckpointError, match=key):
            refuse_endless({"a": [{"text_config": {key: most}}]}, [])


@pytest.mark.parametrize(
    "config",
    [
        {"num_labels": 21_843, "max_position_embeddings": BILLION, "hidden_size": 16_384},
        {"num_experts_per_tok": 8, "num_local_experts": 512, "vision_feature_layer": -2},
        {"layer_norm_eps": 1e-5, "rope_theta": 5e6, "layers": None, "depths": "x"},
    ],
)
def test_what_real_configurations_hold_passes(config: dict[str, object]) -> None:
    refuse_endless(config, [])
