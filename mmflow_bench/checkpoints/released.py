"""What a registered name stands for, and the published checkpoints that the paper is about.

Every one of these is on the hub twice: as its authors wrote it (the original format) and converted
to transformers. A name stands for the converted one, whose weights are safetensors; the hub id of
either may be typed as well. What the paper says of each of them is declared where it is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mmflow_bench.checkpoints.spec import Described


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEntry(Described):
    """A name that `--model` knows; its conversation makes the paper's input the default."""

    name: str
    description: str
    source: str | None = None
    """A folder or hub id; the name itself for built ones."""
    original: str | None = None
    """Hub id of the same weights in the original LLaVA format."""
    aliases: tuple[str, ...] = ()
    """Other names for it; its hub ids, with and without their owner, are names anyway."""

    def names(self) -> Iterator[tuple[str, str]]:
        """Every name with the source that it stands for, the entry's own first."""
        source = self.source or self.name
        yield self.name, source
        if self.builder is not None:
            return
        for alias in self.aliases:
            yield alias, source
        # A folder is no name: it means whatever is in it.
        for hub_id in (source, self.original):
            if hub_id is not None and hub_id.count("/") == 1 and hub_id[0] not in "./~":
                yield hub_id, hub_id
                yield hub_id.partition("/")[2], source


def _llava(
    name: str,
    description: str,
    original: str,
    conversation: str,
    *aliases: str,
    source: str | None = None,
) -> RegistryEntry:
    return RegistryEntry(
        name=name,
        description=description,
        source=source or f"llava-hf/{name}-hf",
        original=original,
        aliases=aliases,
        conversation=conversation,
        questions="gqa",
        images="hub",
    )


_OF_THE_PAPER = (
    _llava(
        "llava-1.5-13b",
        "the paper's main checkpoint: Vicuna, 40 layers, 576 image positions",
        "liuhaotian/llava-v1.5-13b",
        "vicuna_v1",
        "llava-v1.5-13b",
    ),
    _llava(
        "llava-1.5-7b",
        "App. I: the same with 32 layers; the first drop is smaller",
        "liuhaotian/llava-v1.5-7b",
        "vicuna_v1",
        "llava-v1.5-7b",
    ),
    _llava(
        "llava-v1.6-vicuna-7b",
        "App. I: LLaVA-NeXT, photos in tiles",
        "liuhaotian/llava-v1.6-vicuna-7b",
        "vicuna_v1",
        *("llava-1.6-vicuna-7b", "llava-next-vicuna-7b"),
    ),
    _llava(
        "llama3-llava-next-8b",
        "App. I: LLaVA-NeXT on Llama 3; one drop, no lower-case phase",
        "lmms-lab/llama3-llava-next-8b",
        "llava_llama_3",
        *("llava-next-llama3-8b", "llava-llama3-8b"),
    ),
    _llava(
        "llava-v1.6-vicuna-13b",
        "App. F: LLaVA-NeXT with 40 layers, without image tokens in the late ones",
        "liuhaotian/llava-v1.6-vicuna-13b",
        "vicuna_v1",
        *("llava-1.6-vicuna-13b", "llava-next-vicuna-13b", "llava-v1.6-13b"),
    ),
    RegistryEntry(
        name="vicuna-13b-v1.5",
        description="App. G: text only, captions stand in for the image",
        source="lmsys/vicuna-13b-v1.5",
        aliases=("vicuna-v1.5-13b", "vicuna-1.5-13b"),
        conversation="vicuna_v1",
        questions="gqa",
    ),
)
_OTHERS = (
    _llava(
        "llava-v1.6-mistral-7b",
        "LLaVA-NeXT on Mistral; not in the paper",
        "liuhaotian/llava-v1.6-mistral-7b",
        "mistral_instruct",
        *("llava-1.6-mistral-7b", "llava-next-mistral-7b"),
    ),
    _llava(
        "llava-v1.6-34b",
        "LLaVA-NeXT on Yi, 60 layers; not in the paper",
        "liuhaotian/llava-v1.6-34b",
        "chatml_direct",
        *("llava-1.6-34b", "llava-next-34b"),
    ),
    *(
        _llava(
            f"llava-onevision-{size}",
            "LLaVA-OneVision on Qwen2; not in the paper",
            f"lmms-lab/llava-onevision-qwen2-{size}-ov",
            "qwen_1_5",
            source=f"llava-hf/llava-onevision-qwen2-{size}-ov-hf",
        )
        for size in ("0.5b", "7b")
    ),
)
RELEASED = (*(replace(entry, paper_model=entry.name) for entry in _OF_THE_PAPER), *_OTHERS)
