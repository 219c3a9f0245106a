"""Weights kept on disk or in memory until they are called give the same numbers."""

from __future__ import annotations

import copy
from dataclasses import replace

import accelerate
import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module

from mmflow_bench.checkpoints.parts import execution_device, parts_of
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.selfcheck import prove_exact
from mmflow_bench.interventions.suffixes import knockout_logits
from mmflow_bench.measurements.answer import greedy_answer
from mmflow_bench.measurements.logit_lens import lens_distributions
from mmflow_bench.positions.resolve import resolve_roles


def _on_disk(model, folder):
    accelerate.disk_offload(model, folder, execution_device=torch.device("cpu"))


def _in_memory(model, _):
    accelerate.cpu_offload(model, execution_device=torch.device("cpu"))


def _in_parts(model, folder):
    """As `device_map=auto` does when memory ends in the middle of the decoder."""
    device_map = accelerate.infer_auto_device_map(
        model, max_memory={"cpu": "120KB"}, no_split_module_classes=model._no_split_modules
    )
    assert set(device_map.values()) == {"cpu", "disk"}
    accelerate.dispatch_model(
        model, device_map, main_device="cpu", offload_dir=folder, force_hooks=True
    )


def _everything(checkpoint, sample):
    """Every number that measurements take from a model, by the same names."""
    encoded = encode(sample, checkpoint)
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    clean, other = clean_passes(checkpoint, [inputs, inputs])
    roles = resolve_roles(encoded, checkpoint)
    knockout = Knockout(sources=roles["image"], targets=roles["question"], layers=range(1, 3))
    found = {
        "clean": clean.logits,
        "residuals": clean.residuals,
        "definition": definition_logits(checkpoint, inputs, knockout),
        "lens": torch.cat(list(lens_distributions(checkpoint, clean).values())),
        "answer": torch.tensor(greedy_answer(checkpoint, clean, sample)["base_probability"]),
    }
    for method in Method:
        donor = other if method is Method.COUNTERFACTUAL else None
        found[method] = knockout_logits(
            checkpoint, clean, [knockout], method=method, counterfactual=donor
        )
    return found


@pytest.mark.parametrize(
    ("family", "offload"),
    [
        ("llava_next", _on_disk),
        ("llava_next", _in_parts),
        ("qwen2_vl", _in_memory),
        ("qwen2_vl", _in_parts),
        # SigLIP's pooling head reads weights past the hooks; `device_map` never splits it.
        ("gemma3", _in_parts),
    ],
)
def test_offloaded_weights_change_no_number(
    family_checkpoint, photo_sample, tmp_path, family, offload
):
    whole = family_checkpoint(family)
    model = copy.deepcopy(whole.model)
    offload(model, tmp_path)
    assert any(parameter.is_meta for parameter in model.parameters())
    parts = replace(whole, model=model, parts=parts_of(model))
    assert parts.device == torch.device("cpu")
    prove_exact(parts)
    expected, got = (_everything(one, photo_sample()) for one in (whole, parts))
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_layers_that_are_offloaded_after_layers_that_take_a_few_rows_at_a_time(
    family_checkpoint, photo_sample, monkeypatch
):
    """The rows of an offloaded layer, which takes all at once, begin with the first of all."""
    monkeypatch.setattr("mmflow_bench.interventions.portions._LITTLE", 0)
    whole = family_checkpoint("llava_next")
    model = copy.deepcopy(whole.model)
    parts = replace(whole, model=model, parts=parts_of(model))
    for layer in parts.parts.decoder_layers[1:]:
        _in_memory(layer, None)
    encoded = encode(photo_sample(), whole)
    roles = resolve_roles(encoded, whole)
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    (clean,) = clean_passes(parts, [inputs])
    asked = [
        Knockout(sources=(position,), targets=roles["question"], layers=range(3))
        for position in roles["image"][:64]
    ]
    expected, got = (knockout_logits(one, clean, asked) for one in (whole, parts))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_a_folder_loaded_in_parts(family_checkpoint, photo_sample, tmp_path):
    """`from_pretrained(device_map=...)`, some of it on disk, as with --model-args=device_map=."""
    whole = family_checkpoint("llava_next")
    whole.model.save_pretrained(tmp_path / "saved")
    device_map = {
        name: "disk" if "layers.2" in name or name == "lm_head" else "cpu"
        for name in _blocks(whole.model)
    }
    model = type(whole.model).from_pretrained(
        tmp_path / "saved", device_map=device_map, offload_folder=tmp_path / "offloaded"
    )
    assert model.get_output_embeddings().weight.is_meta
    parts = replace(whole, model=model.eval(), parts=parts_of(model))
    expected, got = (_everything(one, photo_sample()) for one in (whole, parts))
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6, msg=name)


def _blocks(model):
    """Every decoder layer, and whatever stands beside the decoder."""
    layers = [n for n, m in model.named_modules() if type(m).__name__.endswith("DecoderLayer")]
    parents = [".".join(name.split(".")[:cut]) for name in layers for cut in range(len(name))]
    rest = [
        name
        for name, module in model.named_modules()
        if name.rpartition(".")[0] in parents and name not in parents and name not in layers
    ]
    loose = [name for name, _ in model.named_parameters() if name.rpartition(".")[0] in parents]
    return [*layers, *rest, *loose]


def test_a_module_computes_where_its_hook_says(family_checkpoint):
    model = copy.deepcopy(family_checkpoint("llava_next").model)
    output = model.get_output_embeddings()
    assert execution_device(output) == torch.device("cpu")
    add_hook_to_module(output, AlignDevicesHook(execution_device="meta"))
    assert execution_device(output) == torch.device("meta")
