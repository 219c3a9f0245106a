"""Checkpoints that nobody would train: each is refused in one message, soon, and nothing hangs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from original_llava import save_native, save_original
from safetensors.torch import load_file, save_file

from mmflow_bench.checkpoints import trial
from mmflow_bench.checkpoints.loading import load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings

BILLION = 10**9
SETTINGS = MeasurementSettings(tasks=("ChooseAttr",), limit="1", cache=None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    original = save_original(folder / "llava")
    save_native(original, folder / "native")
    return folder


@pytest.fixture(autouse=True)
def _little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MEMORY", 1 << 29)


@pytest.fixture
def native(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept / "native", tmp_path / "native"))


@pytest.fixture
def original(kept: Path, tmp_path: Path) -> Path:
    shutil.copytree(kept / "tower", tmp_path / "tower")
    return Path(shutil.copytree(kept / "llava", tmp_path / "llava"))


def load(folder: Path) -> None:
    """Loaded and proved, as every run begins."""
    spec = resolve_checkpoint(str(folder), offline=True)
    assert Measurements.open(spec, SETTINGS).checkpoint


def change(path: Path, changes: dict[str, Any]) -> None:
    """Change what a JSON file has under dotted keys."""
    content = json.loads(path.read_text())
    for key, value in changes.items():
        at = content
        *way, last = key.split(".")
        for step in way:
            at = at.setdefault(step, {})
        at[last] = value
    path.write_text(json.dumps(content))


def test_the_checkpoint_is_measured_as_it_is(native: Path, original: Path) -> None:
    load(native)
    load(original)


def refused(folder: Path, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as found:
        load(folder)
    assert len(str(found.value)) < 1000


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("text_config.num_hidden_layers", BILLION, "at most 1024 .*num_hidden_layers = 10000"),
        ("text_config.num_hidden_layers", 10**400, "at most 1024 .*num_hidden_layers = 10000"),
        ("text_config.num_hidden_layers", "12", "num_hidden_layers.*expected int, got str"),
        ("text_config.hidden_size", -1, "native"),
        ("text_config.hidden_size", BILLION, "at most .*parameters|hidden size"),
        ("text_config.vocab_size", BILLION, r"at most .*parameters.*\(1000000000, 32\)"),
        ("text_config.vocab_size", 0, "native"),
        ("text_config.num_attention_heads", 0, "ZeroDivisionError"),
        ("text_config.num_attention_heads", 3, "not a multiple"),
        ("text_config.rms_norm_eps", 0, "rms_norm_eps"),
        ("text_config.rope_parameters", {"rope_type": "none", "rope_theta": 1}, "native"),
        ("text_config", [], "native"),
        ("vision_config.num_hidden_layers", BILLION, "at most 1024"),
        ("vision_config.image_size", 10**7, "at most .*parameters.*position_embedding"),
        ("vision_config.patch_size", 0, "ZeroDivisionError"),
        ("vision_config.num_channels", -3, "native"),
        ("num_labels", BILLION, "num_labels = 10000"),
        ("num_local_experts", BILLION, "num_local_experts"),
        ("depths", [2, BILLION], "depths"),
        ("dtype", "float99", "float99"),
        ("quantization_config", [1], "native"),
        ("image_token_index", 5, "image tokens do not match"),
        ("image_token_index", BILLION, "image tokens do not match"),
        ("transformers_weights", "../other.safetensors", "names of files inside the checkpoint"),
    ],
)
def test_a_configuration_that_no_model_has(
    native: Path, key: str, value: object, words: str
) -> None:
    change(native / "config.json", {key: value})
    if key == "image_token_index":
        change(native / "config.json", {"image_token_id": value})
    refused(native, words)


@pytest.mark.parametrize(
    ("file", "key", "value", "words"),
    [
        ("llava/config.json", "num_hidden_layers", BILLION, "at most 1024"),
        ("llava/config.json", "num_labels", BILLION, "num_labels"),
        ("llava/config.json", "intermediate_size", BILLION, "at most .*parameters"),
        ("llava/config.json", "mm_vision_select_layer", "x", "invalid literal for int"),
        ("llava/config.json", "mm_vision_tower", "a\0b", "vision tower"),
        ("llava/config.json", "image_grid_pinpoints", "(1x1),(99999x99999)", "64 tiles a side"),
        ("llava/config.json", "image_grid_pinpoints", "[" * 9999, "image_grid_pinpoints"),
        ("llava/config.json", "image_grid_pinpoints", [[0, -5]], "at least one pixel"),
        ("tower/config.json", "num_hidden_layers", BILLION, "at most 1024"),
        ("tower/config.json", "image_size", 10**7, "at most .*parameters"),
        ("tower/config.json", "vision_config", [1], "llava"),
    ],
)
def test_an_original_configuration_that_no_model_has(
    original: Path, file: str, key: str, value: object, words: str
) -> None:
    if key == "image_grid_pinpoints":
        tiled = {"image_aspect_ratio": "anyres", "mm_patch_merge_type": "spatial_unpad"}
        change(original / "config.json", tiled)
    change(original.parent / file, {key: value})
    refused(original, words)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("image_processor.size", {"shortest_edge": 10**6}, "photo and a question|prepare a sample"),
        ("image_processor.crop_size", {"height": 10**6, "width": 10**6}, "prepare"),
        ("image_processor.image_processor_type", "None", "native"),
        ("num_additional_image_tokens", 10**12, "prepare"),
        ("patch_size", 0, "ZeroDivisionError"),
        ("patch_size", 0.0001, "prepare"),
    ],
)
def test_a_processor_that_no_model_has(native: Path, key: str, value: object, words: str) -> None:
    change(native / "processor_config.json", {key: value})
    refused(native, words)


_LONGER = {"type": "Replace", "pattern": {"Regex": "."}, "content": "a" * 1000}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.type", "None"),
        ("model.vocab", {}),
        ("model.merges", [["no", "words"]]),
        ("pre_tokenizer", {"type": "None"}),
        ("normalizer", {"type": "Sequence", "normalizers": [_LONGER] * 5}),
    ],
    ids=["kind", "empty", "merges", "part", "memory"],
)
def test_a_tokenizer_that_no_model_has(
    native: Path, key: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 1)
    change(native / "tokenizer.json", {key: value})
    refused(native, "native")


NESTED = "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3


DOUBLING = (
    "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x * 2 %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (NESTED, "no end within"),
        ("{{ 10 ** (10 ** 10) }}", "no end within"),
        ("{% for i in range(10 ** 12) %}{% endfor %}", "OverflowError"),
        ("{{ 2.0 ** 99999 }}", "OverflowError"),
        ("{{ 'a' * 10 ** 11 }}", "MemoryError"),
        (DOUBLING, "MemoryError|no end within"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", "RecursionError"),
        ("{% if 1 %}" * 3000 + "{% endif %}" * 3000, "RecursionError"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{{ ''.__class__.mro() }}", "SecurityError"),
        ("{% include '/etc/passwd' %}", "once and unchanged"),
    ],
    ids=range(12),
)
def test_a_chat_template_that_does_no_good(
    native: Path, template: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "no end" in words:
        monkeypatch.setattr(trial, "SECONDS", 3)
    native.joinpath("chat_template.jinja").write_text(template)
    refused(native, words)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(native: Path, value: float) -> None:
    weights = load_file(native / "model.safetensors")
    filled = {name: torch.full_like(tensor, value) for name, tensor in weights.items()}
    save_file(filled, native / "model.safetensors", {"format": "pt"})
    refused(native, "finite logits, got NaN")


def test_a_name_of_a_shard_says_no_more_than_it_can(original: Path) -> None:
    name = f"model-00001-of-{'9' * 60}.safetensors"
    (original / "model.safetensors").rename(original / name)
    refused(original, "at most 99999 files")


def test_weights_and_an_adapter_in_one_folder_are_two_models(native: Path) -> None:
    native.joinpath("adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}')
    refused(native, "whole weights or an adapter, got both")


def test_an_adapter_that_is_its_own_base_has_no_end(original: Path) -> None:
    original.joinpath("config.json").unlink()
    content = json.dumps({"base_model_name_or_path": str(original)})
    original.joinpath("adapter_config.json").write_text(content)
    refused(original, "parts can be told, got RecursionError")


def test_code_of_another_repository_is_in_no_fingerprint(native: Path) -> None:
    change(native / "config.json", {"auto_map": {"AutoConfig": "owner/name--code.Config"}})
    spec = resolve_checkpoint(str(native), trust_remote_code=True)
    with pytest.raises(CheckpointError, match=r"another repository: .*owner/name--code"):
        load_checkpoint(spec)


def test_files_that_change_under_a_run_are_refused(native: Path) -> None:
    spec = resolve_checkpoint(str(native), offline=True)
    measurements = Measurements.open(spec, SETTINGS)
    change(native / "generation_config.json", {"bos_token_id": 7})
    with pytest.raises(CheckpointError, match="the files that the run began with"):
        measurements.ensure("ChooseAttr")
