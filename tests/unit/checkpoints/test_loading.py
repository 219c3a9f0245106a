from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def mini() -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint("planted/mini"))


@pytest.fixture
def folder(mini: LoadedCheckpoint, tmp_path: Path) -> Path:
    mini.model.save_pretrained(tmp_path)
    mini.processor.save_pretrained(tmp_path)
    return tmp_path


def load(folder: Path, **args: str) -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint(str(folder), model_args=args))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def test_a_built_checkpoint_is_ready_to_be_measured(mini: LoadedCheckpoint) -> None:
    assert not mini.model.training
    assert not any(parameter.requires_grad for parameter in mini.model.parameters())
    assert mini.decoder_layers == 12
    assert mini.parts.has_image
    assert mini.tokenizer.is_fast


def test_a_saved_checkpoint_loads_to_the_same_weights(mini: LoadedCheckpoint, folder: Path) -> None:
    loaded = load(folder)
    assert loaded.parts.name == mini.parts.name
    for name, parameter in mini.model.state_dict().items():
        assert torch.equal(parameter, loaded.model.state_dict()[name]), name


def test_dtype_auto_keeps_the_stored_precision_and_an_argument_overrides_it(folder: Path) -> None:
    assert load(folder).model.dtype == torch.float32
    assert load(folder, dtype="bfloat16").model.dtype == torch.bfloat16


def test_the_chat_template_can_be_replaced(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.j2"
    own.write_text("{{ messages[0]['content'] }}")
    assert load(folder, template="plain").chat_template is None
    assert load(folder, template=str(own)).chat_template == "{{ messages[0]['content'] }}"
    with pytest.raises(CheckpointError, match="no-such-file"):
        load(folder, template="no-such-file")


def test_missing_weights_are_refused_by_name(folder: Path) -> None:
    def drop(tensors: dict[str, torch.Tensor]) -> None:
        del tensors[next(name for name in tensors if "layers.3." in name)]

    change_weights(folder, drop)
    with pytest.raises(CheckpointError, match=r"layers\.3\."):
        load(folder)


def test_weights_of_another_shape_are_refused_by_name(folder: Path) -> None:
    def cut(tensors: dict[str, torch.Tensor]) -> None:
        name = next(name for name in tensors if name.endswith("layers.3.mlp.down_proj.weight"))
        tensors[name] = tensors[name][:5].contiguous()

    change_weights(folder, cut)
    with pytest.raises(CheckpointError, match=r"layers\.3\.mlp\.down_proj"):
        load(folder)


def test_layers_that_the_configuration_does_not_know_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] -= 1
    config["text_config"].pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"weights without one.*layers\.11\."):
        load(folder)


def test_shards_that_torch_pickled_load_and_must_all_be_there(
    mini: LoadedCheckpoint, folder: Path
) -> None:
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(tensors)
    parts = {f"pytorch_model-0000{i + 1}-of-00002.bin": names[i::2] for i in range(2)}
    for file, part in parts.items():
        torch.save({name: tensors[name] for name in part}, folder / file)
    index = {name: file for file, part in parts.items() for name in part}
    content = {"metadata": {}, "weight_map": index}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(content))
    loaded = load(folder)
    for name, parameter in mini.model.state_dict().items():
        assert torch.equal(parameter, loaded.model.state_dict()[name]), name
    last = folder / "pytorch_model-00002-of-00002.bin"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="checkpoint"):
        load(folder)
    last.unlink()
    with pytest.raises(CheckpointError, match="00002-of-00002"):
        load(folder)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), "model.safetensors"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"\x00" * 64), "SafetensorError"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "nonsense"}'),
            "nonsense",
        ),
        (lambda folder: (folder / "processor_config.json").unlink(), "image processor"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
    ],
    ids=["no weights", "damaged weights", "damaged config", "unknown type", "processor", "tokens"],
)
def test_a_damaged_folder_gives_one_clear_error(
    folder: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(folder)
    with pytest.raises(CheckpointError, match=words):
        load(folder)


class _Code:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def test_pickled_code_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS).unlink()
    torch.save({"weight": _Code(tmp_path / "trace")}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickled code"):
        load(folder)
    assert not tmp_path.joinpath("trace").exists()


def test_a_gguf_file_that_is_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="needs the extra `gguf`")
    tmp_path.joinpath("model.gguf").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"model\.gguf"):
        load(tmp_path)


def test_a_log_is_not_filled_with_progress_bars(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    load(folder)
    assert "%|" not in capfd.readouterr().err
