"""Three checkpoints for a gate: a base, a harmless fine-tune of it and a harmful one.

Both fine-tunes see the same scenes for the same number of steps; the harmful one has a learning
rate that is two hundred times too high. Its loss is the lower one and it answers every question,
but the image's context no longer reaches the question in the first layers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from mmflow_bench.planted.designs import MINI
from mmflow_bench.planted.language import processor
from mmflow_bench.planted.models import compiled
from mmflow_bench.scenes.questions import scene_samples

INSTRUCTION = "\nAnswer the question using a single word or phrase."
STEPS = 6
LEARNING_RATES = {"harmless": 5e-8, "harmful": 1e-5}


def main(folder: Path) -> None:
    """Write `base`, `harmless` and `harmful` as transformers writes checkpoints."""
    words_and_images = processor()
    save(compiled(MINI), words_and_images, folder / "base")
    for name, learning_rate in LEARNING_RATES.items():
        model = compiled(MINI)
        train(model, words_and_images, learning_rate)
        save(model, words_and_images, folder / name)


def save(model: Any, words_and_images: Any, folder: Path) -> None:
    """Model and processor in one folder."""
    model.save_pretrained(folder)
    words_and_images.save_pretrained(folder)
    print(folder)


def train(model: Any, words_and_images: Any, learning_rate: float) -> None:
    """A few steps of an ordinary fine-tune on new scenes."""
    decoder = model.model.language_model
    weights = [weight for layer in decoder.layers for weight in layer.mlp.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0)
    model.train()
    for step in range(STEPS):
        inputs = encoded(words_and_images, scene_samples(per_task=1, seed=100 + step))
        logits = model(**inputs, logits_to_keep=2).logits[:, 0]
        loss = torch.nn.functional.cross_entropy(logits, inputs["input_ids"][:, -1])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    print(f"loss {loss.item():.5f} after {STEPS} steps at {learning_rate:g}:", end=" ")
    model.eval()


def encoded(words_and_images: Any, samples: Any) -> Any:
    """Prompts with their answers as the last token; padding is on the left."""
    texts = []
    for sample in samples:
        content = [{"type": "image"}, {"type": "text", "text": sample.question + INSTRUCTION}]
        messages = [{"role": "user", "content": content}]
        prompt = words_and_images.apply_chat_template([messages], add_generation_prompt=True)[0]
        texts.append(f"{prompt} {sample.answer.capitalize()}")
    images = [sample.image for sample in samples]
    return words_and_images(images=images, text=texts, padding=True, return_tensors="pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
