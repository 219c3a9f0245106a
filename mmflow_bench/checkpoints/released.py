"""The published checkpoints that the paper is about, and those of the same programs.

Every one is on the hub twice: as its authors wrote it (the original format) and converted to
transformers. A name stands for the converted one, whose weights are safetensors; the hub id of
either may be typed as well. What the paper says of each of them is declared where it is tested.
"""

from __future__ import annotations

from mmflow_bench.checkpoints.entry import RegistryEntry

RELEASED = (
    RegistryEntry(
        name="llava-1.5-13b",
        description="the paper's main checkpoint: Vicuna, 40 layers, 576 image positions",
        source="llava-hf/llava-1.5-13b-hf",
        original="liuhaotian/llava-v1.5-13b",
        aliases=("llava-v1.5-13b",),
        conversation="vicuna_v1",
        questions="gqa",
        images="hub",
        paper_model="llava-1.5-13b",
    ),
    RegistryEntry(
        name="llava-1.5-7b",
        description="App. I: the same with 32 layers; the first drop is smaller",
        source="llava-hf/llava-1.5-7b-hf",
        original="liuhaotian/llava-v1.5-7b",
        aliases=("llava-v1.5-7b",),
        conversation="vicuna_v1",
        questions="gqa",
        images="hub",
        paper_model="llava-1.5-7b",
    ),
    RegistryEntry(
        name="llava-v1.6-vicuna-7b",
        description="App. I: LLaVA-NeXT, photos in tiles",
        source="llava-hf/llava-v1.6-vicuna-7b-hf",
        original="liuhaotian/llava-v1.6-vicuna-7b",
        aliases=("llava-1.6-vicuna-7b", "llava-next-vicuna-7b"),
        conversation="vicuna_v1",
        questions="gqa",
        images="hub",
        paper_model="llava-v1.6-vicuna-7b",
    ),
    RegistryEntry(
        name="llama3-llava-next-8b",
        description="App. I: LLaVA-NeXT on Llama 3; one drop, no lower-case phase",
        source="llava-hf/llama3-llava-next-8b-hf",
        original="lmms-lab/llama3-llava-next-8b",
        aliases=("llava-next-llama3-8b", "llava-llama3-8b"),
        conversation="llava_llama_3",
        questions="gqa",
        images="hub",
        paper_model="llama3-llava-next-8b",
    ),
    RegistryEntry(
        name="llava-v1.6-vicuna-13b",
        description="App. F: LLaVA-NeXT with 40 layers, without image tokens in the late ones",
        source="llava-hf/llava-v1.6-vicuna-13b-hf",
        original="liuhaotian/llava-v1.6-vicuna-13b",
        aliases=("llava-1.6-vicuna-13b", "llava-next-vicuna-13b", "llava-v1.6-13b"),
        conversation="vicuna_v1",
        questions="gqa",
        images="hub",
        paper_model="llava-v1.6-vicuna-13b",
    ),
    RegistryEntry(
        name="vicuna-13b-v1.5",
        description="App. G: text only, captions stand in for the image",
        source="lmsys/vicuna-13b-v1.5",
        aliases=("vicuna-v1.5-13b", "vicuna-1.5-13b"),
        conversation="vicuna_v1",
        questions="gqa",
        paper_model="vicuna-13b-v1.5",
    ),
    RegistryEntry(
        name="llava-v1.6-mistral-7b",
        description="LLaVA-NeXT on Mistral; not in the paper",
        source="llava-hf/llava-v1.6-mistral-7b-hf",
        original="liuhaotian/llava-v1.6-mistral-7b",
        aliases=("llava-1.6-mistral-7b", "llava-next-mistral-7b"),
        conversation="mistral_instruct",
        questions="gqa",
        images="hub",
    ),
    RegistryEntry(
        name="llava-v1.6-34b",
        description="LLaVA-NeXT on Yi, 60 layers; not in the paper",
        source="llava-hf/llava-v1.6-34b-hf",
        original="liuhaotian/llava-v1.6-34b",
        aliases=("llava-1.6-34b", "llava-next-34b"),
        conversation="chatml_direct",
        questions="gqa",
        images="hub",
    ),
    RegistryEntry(
        name="llava-onevision-0.5b",
        description="LLaVA-OneVision on Qwen2; not in the paper",
        source="llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        original="lmms-lab/llava-onevision-qwen2-0.5b-ov",
        conversation="qwen_1_5",
        questions="gqa",
        images="hub",
    ),
    RegistryEntry(
        name="llava-onevision-7b",
        description="LLaVA-OneVision on Qwen2; not in the paper",
        source="llava-hf/llava-onevision-qwen2-7b-ov-hf",
        original="lmms-lab/llava-onevision-qwen2-7b-ov",
        conversation="qwen_1_5",
        questions="gqa",
        images="hub",
    ),
)
