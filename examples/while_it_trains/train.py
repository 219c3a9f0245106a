"""A fine-tune that is watched: curves over steps, and the step at which a mechanism has moved.

The checkpoint is planted, so that it trains in minutes on a CPU: its image reaches the question in
two stages. The learning rate is too high: the loss is fine, the answers are right, and the first
stage fades.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from transformers import Trainer, TrainingArguments

from mmflow_bench.interactive.reading import ReadRun
from mmflow_bench.planted.designs import MINI
from mmflow_bench.planted.language import processor
from mmflow_bench.planted.models import compiled
from mmflow_bench.scenes.questions import scene_samples
from mmflow_bench.training import FlowCallback, read_steps

INSTRUCTION = "\nAnswer the question using a single word or phrase."
STEPS, EVERY, SCENES, IMAGES = 24, 4, 6, 20
LEARNING_RATE = 2.5e-6
EDGES = ("image -> question", "question -> last")
TASK = "ChooseAttr"


def main(folder: Path) -> None:
    """Train, and write `flow/step-*` and `curves.png` into a folder."""
    torch.set_num_threads(1)
    model, words_and_images = compiled(MINI), processor()
    for name, weight in model.named_parameters():
        weight.requires_grad_("language_model" in name and ".mlp." in name)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / "trainer"),
            max_steps=STEPS,
            per_device_train_batch_size=SCENES,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            logging_steps=EVERY,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        data_collator=Collator(words_and_images),
        train_dataset=list(scene_samples(per_task=STEPS, seed=100)),
        processing_class=words_and_images,
    )
    # Scenes are given to the collator as they are.
    trainer.args.remove_unused_columns = False
    flow = FlowCallback(
        EDGES,
        output=folder / "flow",
        every=EVERY,
        mechanisms=["imgq-drop1", "imgq-drop2"],
        on_drift="mark",
        tasks=[TASK],
        limit=IMAGES,
        twins=False,
    ).add_to(trainer)
    trainer.train()
    for step in flow.measured:
        print(f"step {step.step}: {'; '.join(step.drift) or 'as before'}")
    draw(read_steps(folder / "flow"), folder / "curves.png")


class Collator:
    """Prompts with their answers as the last token, which alone has a label."""

    def __init__(self, words_and_images: Any) -> None:
        self._processor = words_and_images

    def __call__(self, samples: Sequence[Any]) -> Mapping[str, torch.Tensor]:
        texts = []
        for sample in samples:
            content = [{"type": "image"}, {"type": "text", "text": sample.question + INSTRUCTION}]
            messages = [{"role": "user", "content": content}]
            prompt = self._processor.apply_chat_template([messages], add_generation_prompt=True)[0]
            texts.append(f"{prompt} {sample.answer.capitalize()}")
        images = [sample.image for sample in samples]
        inputs = self._processor(images=images, text=texts, padding=True, return_tensors="pt")
        # Padding is on the left.
        labels = torch.full_like(inputs["input_ids"], -100)
        labels[:, -1] = inputs["input_ids"][:, -1]
        return {**inputs, "labels": labels}


def draw(steps: Mapping[int, ReadRun], path: Path) -> None:
    """The curves of every edge, one for each step, darker with every step."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, edge in zip(figure.subplots(1, len(EDGES), sharey=True), EDGES, strict=True):
        for step, run in steps.items():
            mean = run.flow(edge, TASK).mean
            shade = 0.25 + 0.75 * step / max(steps)
            axes.plot(mean, color=(0.0, 0.35, 0.6, shade), label=f"step {step}")
        axes.axhline(0.0, color="0.5", lw=0.8)
        axes.set(title=edge, xlabel="layer in the middle of the window")
    figure.axes[0].set_ylabel("change in the answer's probability")
    figure.axes[-1].legend(fontsize="small")
    figure.savefig(path, dpi=120)
    print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
