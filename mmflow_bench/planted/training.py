"""A planted checkpoint that was trained on: noise on its weights, then steps until it answers.

What its flow is afterwards nobody has written down. It is found by measuring, as in any trained
checkpoint; only the questions and the way they are answered are still those of the planted one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmflow_bench.checkpoints.made import folder_of_made
from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.planted.architecture import Model, Processor
from mmflow_bench.planted.realism import readers, writers
from mmflow_bench.planted.residual import dimension
from mmflow_bench.scenes.questions import scene_samples

_INSTRUCTION = "\nAnswer the question using a single word or phrase."


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a checkpoint is trained; another recipe gives another checkpoint."""

    seed: int = 0
    noise: float = 0.1
    """Deviation added to each weight, as a fraction of its matrix's root mean square."""
    learning_rate: float = 1e-5
    steps: int = 25
    """At most; it stops when every question of a held-out set is answered."""
    check_every: int = 5


def trained(model: Model, processor: Processor, recipe: Training) -> Model:
    """The model after noise and training, from the user's cache folder if it was there before.

    Raises:
        CheckpointError: It does not answer all held-out questions after the last step.
    """
    path = folder_of_made() / f"{_identity(model, recipe)}.safetensors"
    if path.exists():
        model.load_state_dict(load_file(path))
        return model
    _add_noise(model, recipe)
    _train(model, processor, recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    # another process may be training the same: whoever is last replaces the file as a whole
    partial = path.with_suffix(f".{os.getpid()}")
    save_file({name: weight.contiguous() for name, weight in model.state_dict().items()}, partial)
    partial.replace(path)
    return model


def _identity(model: Model, recipe: Training) -> str:
    """Hash of the recipe and of the weights that it starts from."""
    digest = hashlib.sha256(f"{recipe} {torch.__version__}".encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]


@torch.no_grad()
def _add_noise(model: Model, recipe: Training) -> None:
    """Noise on every matrix but on the constant, which all norms rest on."""
    generator = torch.Generator().manual_seed(recipe.seed)
    constant = dimension("bias")
    for weights, axis in _trainable(model):
        for weight in weights:
            mask = _without(constant, weight, axis)
            deviation = (weight * mask).square().mean().sqrt()
            drawn = torch.randn(weight.shape, generator=generator)
            weight += recipe.noise * deviation * mask * drawn


def _train(model: Model, processor: Processor, recipe: Training) -> None:
    model.requires_grad_(False)
    for weights, axis in _trainable(model):
        for weight in weights:
            weight.requires_grad_(True)
            mask = _without(dimension("bias"), weight, axis)
            # the constant is so large that any step on its weights would drown the rest
            weight.register_hook(mask.mul)
    free = [weight for weights, _ in _trainable(model) for weight in weights]
    optimizer = torch.optim.Adam(free, lr=recipe.learning_rate)
    held_out = _encoded(processor, scene_samples(per_task=12, seed=recipe.seed + 1))
    for step in range(recipe.steps):
        if step % recipe.check_every == 0 and _answers(model, held_out):
            break
        batch = scene_samples(per_task=16, seed=recipe.seed + 2 + step)
        # a quarter of a series in which every answer of every task occurs
        inputs = _encoded(processor, batch[step % 4 :: 4])
        with torch.enable_grad():
            optimizer.zero_grad()
            _loss(model, inputs).backward()
        nn.utils.clip_grad_norm_(free, 1.0)
        optimizer.step()
    else:
        if not _answers(model, held_out):
            raise CheckpointError(
                f"all held-out questions answered after training, got some wrong ({recipe}); "
                "train longer or with less noise"
            )
    model.requires_grad_(True)


def _trainable(
    model: Model,
) -> list[tuple[list[Tensor], int]]:
    """Matrices by the axis on which the residual stream is: the whole decoder and its words."""
    embeddings = cast(nn.Embedding, model.get_input_embeddings()).weight
    return [([*readers(model), embeddings], 1), (list(writers(model)), 0)]


def _without(constant: int, weight: Tensor, axis: int) -> Tensor:
    mask = torch.ones(weight.shape[axis])
    mask[constant] = 0.0
    return mask if axis == 1 else mask[:, None]


def _encoded(processor: Processor, samples: Sequence[Sample]) -> Any:
    texts = []
    for sample in samples:
        content = [{"type": "image"}, {"type": "text", "text": sample.question + _INSTRUCTION}]
        messages = [{"role": "user", "content": content}]
        prompt = processor.apply_chat_template(cast(Any, [messages]), add_generation_prompt=True)[0]
        texts.append(f"{prompt} {sample.answer.capitalize()}{processor.tokenizer.eos_token}")
    images = [sample.image for sample in samples]
    return processor(images=images, text=texts, padding=True, return_tensors="pt")


def _logits_and_targets(model: Model, inputs: Any) -> tuple[Tensor, Tensor]:
    """Of the answer and of the end after it; padding is on the left."""
    logits = model(**inputs, logits_to_keep=3).logits[:, :-1]
    return logits.flatten(0, 1), inputs["input_ids"][:, -2:].flatten()


def _loss(model: Model, inputs: Any) -> Tensor:
    return nn.functional.cross_entropy(*_logits_and_targets(model, inputs))


@torch.inference_mode()
def _answers(model: Model, inputs: Any) -> bool:
    logits, targets = _logits_and_targets(model, inputs)
    return bool((logits.argmax(-1) == targets).all())
