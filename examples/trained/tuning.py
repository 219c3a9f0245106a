"""Stage 2: the language model learns to read the image, by LoRA, from answers alone.

Its embeddings and the tower are frozen; the projector goes on learning, slower. The loss is that of
the answer and of the end behind it. While it trains it is over the words that occur in questions
and answers and some thousand others, drawn anew at every step, instead of all 262,144.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from lessons import Lesson, training_batch
from lora import add_lora
from packing import PATCHES, Batch, answer_id, pack
from runs import Progress, Recipe, Run
from safetensors.torch import load_file
from shipping import ship_adapter
from torch import Tensor, nn
from tower import states
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.scenes.questions import neutral_scene_samples
from mmflow_bench.scenes.things import ANSWERS

_OTHER_WORDS = 4096
CHECKED_SEED = 101
"""Of the held-out scenes that are asked about during training; the default set has seed 0."""


class Student:
    """The language model with its adapter, and all that it is given to read."""

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: PreTrainedTokenizerBase,
        llava: LlavaForConditionalGeneration,
    ) -> None:
        """Freeze a LLaVA and put an adapter on its language model.

        Args:
            recipe: Its rank and seed are used.
            tokenizer: Of the language model.
            llava: In single precision; changed in place.

        Raises:
            ValueError: Its attention would not keep to a mask of booleans.
        """
        attention = llava.model.language_model.config._attn_implementation
        if attention != "sdpa":
            # Others add it to the scores: every question would see its own answer.
            raise ValueError(
                f"a language model loaded with sdpa, whose masks are obeyed, got {attention}; load "
                "it with attn_implementation='sdpa'"
            )
        llava.requires_grad_(False).eval()
        self.tokenizer = tokenizer
        self.tower, self.projector = llava.model.vision_tower, llava.model.multi_modal_projector
        self.projector.requires_grad_(True)
        self.language_model = llava.model.language_model
        self.adapter = add_lora(self.language_model.layers, recipe.rank, recipe.seed)

    @property
    def trained(self) -> dict[str, Tensor]:
        """Name -> parameter of everything that learns."""
        projector = {f"projector.{name}": one for name, one in self.projector.named_parameters()}
        return {**self.adapter, **projector}

    def hidden(self, images: Tensor, batch: Batch) -> Tensor:
        """Final states where answers begin and where they end: (question, 2, hidden)."""
        with torch.no_grad():
            seen = states(self.tower, images)
            words = self.language_model.embed_tokens(batch.ids)
        shown = self.projector(seen)
        inputs = torch.cat([words[:, :1], shown, words[:, 1 + PATCHES :]], dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            final = self.language_model(
                inputs_embeds=inputs,
                attention_mask=dict.fromkeys(("full_attention", "sliding_attention"), batch.mask),
                position_ids=batch.positions,
                use_cache=False,
            ).last_hidden_state
        rows, ends = batch.read.T
        return torch.stack([final[rows, ends], final[rows, ends + 1]], dim=1).float()

    def wanted(self, batch: Batch) -> Tensor:
        """The tokens that those states should lead to: (question, 2)."""
        end = torch.full_like(batch.answers, self.tokenizer.eos_token_id)
        return torch.stack([batch.answers, end], dim=1)

    def loss(self, images: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:
        """Over part of the vocabulary."""
        table = self.language_model.embed_tokens.weight
        wanted = self.wanted(batch)
        own = [answer_id(self.tokenizer, answer) for answer in ANSWERS]
        others = torch.randint(len(table), (_OTHER_WORDS,), generator=generator)
        known = torch.cat([wanted.flatten(), torch.tensor(own), batch.ids.flatten(), others])
        candidates = known.unique()
        logits = self.hidden(images, batch) @ table[candidates].T
        places = torch.searchsorted(candidates, wanted)
        return nn.functional.cross_entropy(logits.flatten(0, 1), places.flatten())

    @torch.no_grad()
    def rights(self, images: Tensor, batch: Batch) -> Tensor:
        """Which questions are answered in full, with the end behind it."""
        logits = self.hidden(images, batch) @ self.language_model.embed_tokens.weight.T
        return (logits.argmax(-1) == self.wanted(batch)).all(-1)


def train_language_model(
    run: Run, recipe: Recipe, student: Student, lesson: Lesson | None = None
) -> None:
    """Train, or go on from where the run's folder was left.

    Args:
        run: Its folder and log.
        recipe: How many steps, how fast.
        student: Changed in place.
        lesson: What it is taught; `training_batch` if it is not said.
    """
    weights = student.trained
    slow = [weight for name, weight in weights.items() if name.startswith("projector.")]
    fast = [weight for name, weight in weights.items() if not name.startswith("projector.")]
    optimizer = torch.optim.AdamW(
        [
            {"params": fast, "full": recipe.learning_rate},
            {"params": slow, "full": recipe.learning_rate / 5},
        ],
        weight_decay=0.0,
        betas=(0.9, 0.98),
    )
    begin = _restored(run, student, optimizer)
    if begin == 0:
        ship_adapter(steps_folder(run, 0), weights, recipe.rank)
    last = recipe.steps + recipe.more_steps
    with Progress("language model", last, run, done=begin) as progress:
        for step in range(begin, last):
            images, batch = (lesson or training_batch)(step, recipe, student.tokenizer)
            generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
            loss = student.loss(images, batch, generator)
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_([*fast, *slow], 1.0)
            for group in optimizer.param_groups:
                group["lr"] = group["full"] * _pace(step, recipe)
            optimizer.step()
            progress.log(step, loss=loss.item(), norm=norm.item())
            if (step + 1) % recipe.keep_every == 0 or step + 1 == last:
                _keep(run, student, optimizer, step + 1)
                ship_adapter(steps_folder(run, step + 1), weights, recipe.rank)
            if (step + 1) % recipe.check_every == 0 or step + 1 == last:
                run.log("held out", step + 1, held_out(student, recipe.check_questions))


def steps_folder(run: Run, step: int) -> Path:
    """Where the adapter is kept as it was after some steps."""
    return run.folder / "steps" / f"{step:04d}"


def held_out(student: Student, per_task: int) -> dict[str, float]:
    """Accuracy by task on scenes that the training has not seen."""
    samples = neutral_scene_samples(per_task=per_task, seed=CHECKED_SEED)
    right: dict[str, list[float]] = {}
    for begin in range(0, len(samples), 20):
        part = samples[begin : begin + 20]
        for sample, is_right in zip(part, _answered(student, part), strict=True):
            right.setdefault(sample.task, []).append(float(is_right))
    return {task: sum(found) / len(found) for task, found in right.items()}


def _answered(student: Student, samples: Sequence[Sample]) -> Tensor:
    pictures = torch.stack([torch.from_numpy(np.array(one.image)) for one in samples])
    images = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
    rows = [[(sample.question, sample.answer)] for sample in samples]
    return student.rights(images, pack(student.tokenizer, rows))


def _pace(step: int, recipe: Recipe) -> float:
    """In each lesson: warm up, then a half cosine down to a twentieth."""
    steps = recipe.steps
    if step >= recipe.steps:
        step, steps = step - recipe.steps, recipe.more_steps
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    done = (step - recipe.warm_up) / max(1, steps - recipe.warm_up)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def _keep(run: Run, student: Student, optimizer: torch.optim.Optimizer, step: int) -> None:
    state: dict[str, Tensor] = {"step": torch.tensor(step), **student.trained}
    for name, weight in student.trained.items():
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            state[f"{moment}/{name}"] = torch.as_tensor(optimizer.state[weight][moment])
    run.write("language-model", state)


def _restored(run: Run, student: Student, optimizer: torch.optim.Optimizer) -> int:
    """How many steps the folder has behind it, after its weights are put in place."""
    path = run.folder / "language-model.safetensors"
    if not path.exists():
        return 0
    state: Mapping[str, Tensor] = load_file(path)
    with torch.no_grad():
        for name, weight in student.trained.items():
            weight.copy_(state[name])
            optimizer.state[weight] = {
                moment: state[f"{moment}/{name}"].clone()
                for moment in ("exp_avg", "exp_avg_sq", "step")
            }
    return int(state["step"])
