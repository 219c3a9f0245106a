"""What one sample of the whole catalogue costs, in plain forward passes of that sample.

Geometry of LLaVA-1.5-13b at reduced width: 40 decoder layers, 576 image positions, a vocabulary of
32,064. Weights are random; sample, prompt and roles are real ones. Everything that the mechanisms
of a suite read on a task is measured by the code that a run uses, kind by kind and all together,
beside transformers' own forward pass with SDPA in the same process.

    python benchmarks/catalogue_cost.py [--suite all] [--task ChooseAttr] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from machine import machine
from random_checkpoints import counting, in_forwards, random_checkpoint, seconds

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.inputs.samples import SIX_TASKS, Box, Sample
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.extending import extended
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.taking import model_inputs
from mmflow_bench.measurements.wants import ANSWERS, UNSCORED, Rows, Want, resolved
from mmflow_bench.mechanisms.declared import shipped
from mmflow_bench.mechanisms.watching import watched
from mmflow_bench.names import SUITES
from mmflow_bench.scenes.questions import scene_samples
from mmflow_bench.scenes.rendering import SIZE


def large_sample(task: str, *, patches: int) -> tuple[Sample, Sample]:
    """A question about a scene, in the size that the tower takes, and a donor for it."""
    scale = 14 * patches / SIZE
    found = []
    for sample in scene_samples(per_task=2, tasks=(task,)):
        boxes = tuple(
            Box(x=b.x * scale, y=b.y * scale, width=b.width * scale, height=b.height * scale)
            for b in sample.boxes
        )
        assert sample.image is not None
        image = sample.image.resize((14 * patches, 14 * patches))  # type: ignore[union-attr]
        found.append(replace(sample, boxes=boxes, image=image, image_width=None, image_height=None))
    return found[0], found[1]


@torch.inference_mode()
def teach(checkpoint: LoadedCheckpoint, sample: Sample) -> None:
    """The sample is answered rightly, in one word: the unembedding gets two directions.

    As by a checkpoint that masters the task, so that what is asked of its samples is asked.
    """
    (clean,) = clean_passes(checkpoint, [model_inputs(encode(sample, checkpoint))])
    tokenizer = checkpoint.tokenizer
    (word,) = tokenizer.encode(sample.answer, add_special_tokens=False)
    said = extended(checkpoint, clean, [word])
    states = torch.stack([clean.residuals[-1], said.residuals[-1]])
    directions = torch.linalg.pinv(states).T
    unembedding = checkpoint.model.get_output_embeddings().weight
    unembedding[[word, tokenizer.eos_token_id]] += 30 * directions


def wanted(suite: str, task: str, width: int, layers: int, *, twins: bool) -> list[Want[object]]:
    """What the mechanisms of a suite, and of those that it holds, read on a task."""
    kept = SUITES[: SUITES.index(suite) + 1]
    wants: dict[Want[object], None] = {}
    for test in shipped():
        if test.declaration.suite not in kept:
            continue
        for reads in watched(test):
            asked = [*reads.wants.get(task, ())]
            if twins and test.declaration.tier == "holds":
                asked += reads.second_opinions.get(task, ())
            wants |= dict.fromkeys(resolved(asked, width=width, layers=layers))
    # What keeps its rows in one place is measured once, as in a run.
    once = {want.shard: want for want in sorted(wants, key=lambda want: want.asks_wrong_answers)}
    return list(once.values())


def by_kind(wants: Sequence[Want[object]]) -> Iterator[tuple[str, list[Want[object]]]]:
    kinds = dict.fromkeys(want.measured_by for want in wants)
    for kind in kinds:
        yield kind.partition(":")[2], [want for want in wants if want.measured_by == kind]


class Asked:
    """One sample of a task, and what the mechanisms of a suite read of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.checkpoint = random_checkpoint(
            layers=options.layers, width=options.width, patches=options.patches
        )
        self.sample, self.donor = large_sample(options.task, patches=options.patches)
        teach(self.checkpoint, self.sample)

    @cached_property
    def wants(self) -> Sequence[Want[object]]:
        asked = self.options
        return wanted(asked.suite, asked.task, asked.window, asked.layers, twins=asked.twins)

    def measure(self, wants: Sequence[Want[object]]) -> Rows:
        job = Job(
            sample=self.sample, key="sample", wants=wants, donor=self.donor, donor_key="donor"
        )
        (found,) = measure(self.checkpoint, [job], workers=1)
        assert found.rows[ANSWERS][0]["is_correct"]
        return found.rows

    def positions(self, wants: Sequence[Want[object]]) -> int:
        """Positions that go through decoder layers, times layers, when this is measured."""
        with counting(self.checkpoint) as counted:
            self.measure(wants)
            return counted()


def measured(options: argparse.Namespace) -> dict[str, object]:
    torch.set_num_threads(1)
    asked = Asked(options)
    checkpoint, sample = asked.checkpoint, asked.sample
    inputs = model_inputs(encode(sample, checkpoint))
    model = checkpoint.model

    @torch.inference_mode()
    def plain() -> object:
        return model(**inputs, use_cache=False, logits_to_keep=1).logits

    forward_positions = options.layers * int(inputs["input_ids"].shape[1])
    refused = len(asked.measure(asked.wants).get(UNSCORED, ()))
    whole = in_forwards(lambda: asked.measure(asked.wants), plain, options.repeats)
    alone = in_forwards(lambda: asked.measure([]), plain, options.repeats)
    kinds = {
        kind: in_forwards(lambda of=of: asked.measure(of), plain, options.repeats) - alone
        for kind, of in by_kind(asked.wants)
    }
    return {
        "suite": options.suite,
        "task": options.task,
        "twins": options.twins,
        "layers": options.layers,
        "width": options.width,
        "image_positions": options.patches**2,
        "positions": int(inputs["input_ids"].shape[1]),
        "wants": len(asked.wants),
        "refused": refused,
        "forward_seconds": statistics.median(seconds(plain) for _ in range(5)),
        "answer_in_forwards": alone,
        "kinds_in_forwards": kinds,
        "whole_in_forwards": whole,
        "positions_in_forwards": asked.positions(asked.wants) / forward_positions,
        "machine": machine(),
    }


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--suite", choices=SUITES, default="all")
    options.add_argument("--task", choices=SIX_TASKS, default="ChooseAttr")
    options.add_argument("--twins", action="store_true", help="second opinions too")
    options.add_argument("--layers", type=int, default=40)
    options.add_argument("--width", type=int, default=512)
    options.add_argument("--patches", type=int, default=24, help="patches along one side")
    options.add_argument("--window", type=int, default=9)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--output", help="write the numbers as JSON")
    return options


def main() -> None:
    options = parser().parse_args()
    text = json.dumps(measured(options), indent=2)
    print(text)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
