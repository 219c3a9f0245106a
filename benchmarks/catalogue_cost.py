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
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint
from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.inputs.samples import SIX_TASKS, Box, Sample
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.sample_rows import model_inputs
from mmflow_bench.measurements.wants import UNSCORED, Want, resolved
from mmflow_bench.mechanisms.declared import shipped
from mmflow_bench.mechanisms.watching import watched
from mmflow_bench.names import SUITES
from mmflow_bench.planted.language import processor
from mmflow_bench.planted.vocabulary import BEGIN, END, IMAGE, PAD, words
from mmflow_bench.scenes.questions import scene_samples
from mmflow_bench.scenes.rendering import SIZE

VOCABULARY = 32064


def random_checkpoint(*, layers: int, width: int, patches: int) -> LoadedCheckpoint:
    """Random weights under the processor of the embedded checkpoint."""
    torch.manual_seed(0)
    token = {word: index for index, word in enumerate(words())}
    special = {
        "bos_token_id": token[BEGIN],
        "eos_token_id": token[END],
        "pad_token_id": token[PAD],
    }
    side = 14 * patches
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=side,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            hidden_size=width,
            intermediate_size=int(width * 2.7),
            num_hidden_layers=layers,
            num_attention_heads=8,
            num_key_value_heads=8,
            vocab_size=VOCABULARY,
            **special,
        ),
        image_token_index=token[IMAGE],
        image_seq_length=patches**2,
        attn_implementation="sdpa",
        **special,
    )
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        # Random weights of the usual scale hardly attend; larger ones make knockouts visible.
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.mul_(3.0)
    made = processor()
    made.image_processor.size = {"shortest_edge": side}
    made.image_processor.crop_size = {"height": side, "width": side}
    spec = resolve_spec("planted/base", CheckpointSettings(device="cpu"))
    return assemble_checkpoint(model, made, spec=spec, identity="benchmark")


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
    return list(wants)


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Median processor time: other programs take none of it."""
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        function()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def by_kind(wants: Sequence[Want[object]]) -> Iterator[tuple[str, list[Want[object]]]]:
    kinds = dict.fromkeys(want.measured_by for want in wants)
    for kind in kinds:
        yield kind.partition(":")[2], [want for want in wants if want.measured_by == kind]


def measured(options: argparse.Namespace) -> dict[str, object]:
    torch.set_num_threads(1)
    checkpoint = random_checkpoint(
        layers=options.layers, width=options.width, patches=options.patches
    )
    sample, donor = large_sample(options.task, patches=options.patches)
    inputs = model_inputs(encode(sample, checkpoint))
    model = checkpoint.model

    @torch.inference_mode()
    def plain() -> object:
        return model(**inputs, use_cache=False, logits_to_keep=1).logits

    def run(wants: Sequence[Want[object]]) -> int:
        job = Job(
            sample=sample,
            key="sample",
            wants=wants,
            keep_incorrect=True,
            donor=donor,
            donor_key="donor",
        )
        (found,) = measure(checkpoint, [job], workers=1)
        return len(found.rows.get(UNSCORED, ()))

    wants = wanted(options.suite, options.task, options.window, options.layers, twins=options.twins)
    plain()
    forward = seconds(plain, 5)
    refused: list[int] = []
    whole = seconds(lambda: refused.append(run(wants)), options.repeats)
    alone = seconds(lambda: run([]), options.repeats)
    kinds = {
        kind: (seconds(lambda of=of: run(of), options.repeats) - alone) / forward
        for kind, of in by_kind(wants)
    }
    return {
        "suite": options.suite,
        "task": options.task,
        "twins": options.twins,
        "layers": options.layers,
        "width": options.width,
        "image_positions": options.patches**2,
        "positions": int(inputs["input_ids"].shape[1]),
        "wants": len(wants),
        "refused": refused[-1],
        "forward_seconds": forward,
        "answer_in_forwards": alone / forward,
        "kinds_in_forwards": kinds,
        "whole_in_forwards": whole / forward,
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", choices=SUITES, default="all")
    parser.add_argument("--task", choices=SIX_TASKS, default="ChooseAttr")
    parser.add_argument("--twins", action="store_true", help="second opinions too")
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--patches", type=int, default=24, help="patches along one side")
    parser.add_argument("--window", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output", help="write the numbers as JSON")
    options = parser.parse_args()
    result = measured(options)
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
