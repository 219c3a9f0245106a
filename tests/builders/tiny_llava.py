"""A LLaVA with random weights that a real Trainer trains in seconds, and scenes to train it on."""

from __future__ import annotations

from typing import Any

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from mmflow_bench.planted.language import processor
from mmflow_bench.planted.vocabulary import IMAGE, PAD, words
from mmflow_bench.scenes.pictures import GRID, PATCH
from mmflow_bench.scenes.questions import scene_samples
from mmflow_bench.scenes.rendering import SIZE

LAYERS = 4


def tiny_llava() -> tuple[Any, Any]:
    """Model and processor; with dropout, so that a training draws random numbers."""
    token = {word: index for index, word in enumerate(words())}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlavaForConditionalGeneration(
            LlavaConfig(
                vision_config=CLIPVisionConfig(
                    hidden_size=16,
                    intermediate_size=16,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    image_size=SIZE,
                    patch_size=PATCH,
                ),
                text_config=LlamaConfig(
                    hidden_size=32,
                    intermediate_size=32,
                    num_hidden_layers=LAYERS,
                    num_attention_heads=4,
                    vocab_size=len(words()),
                    attention_dropout=0.1,
                    pad_token_id=token[PAD],
                ),
                image_token_index=token[IMAGE],
                image_seq_length=GRID * GRID,
                pad_token_id=token[PAD],
            )
        )
    return model, processor()


def encoded_scenes(words_and_images: Any, count: int, *, task: str = "ChooseAttr") -> list[Any]:
    """Prompts with their answers as the last token, which alone has a label."""
    rows = []
    for sample in scene_samples(per_task=count, seed=7, tasks=(task,))[:count]:
        content = [{"type": "image"}, {"type": "text", "text": sample.question}]
        messages = [{"role": "user", "content": content}]
        prompt = words_and_images.apply_chat_template([messages], add_generation_prompt=True)[0]
        text = f"{prompt} {sample.answer.capitalize()}"
        inputs = words_and_images(images=[sample.image], text=[text], return_tensors="pt")
        labels = torch.full_like(inputs["input_ids"], -100)
        labels[:, -1] = inputs["input_ids"][:, -1]
        rows.append({**{name: value[0] for name, value in inputs.items()}, "labels": labels[0]})
    return rows
