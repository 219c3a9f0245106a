"""What identifies a checkpoint before anything of it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

InputChoice = Literal["paper", "hub"]
PatchRule = Literal["overlap", "painted"]
Compat = Literal["careful", "paper"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What is known of a registered checkpoint beyond its files; defaults of any other."""

    builder: str | None = None
    """`package.module:function`, called with the source, that gives (model, processor)."""
    conversation: str | None = None
    """Name of the conversation template of the paper's input, such as `vicuna_v1`; None leaves it
    to what the checkpoint is."""
    questions: str | None = None
    """`package.module:function` that gives the checkpoint's own samples, or the name of a question
    set that ships with the package; None for neither."""
    images: str | None = None
    """Where the images of that question set are, as `--images` takes it."""
    exceptions: Mapping[str, str] = field(default_factory=dict)
    """Mechanism id, or `id[Task]`, -> the verdict that is expected instead of `holds`."""
    paper_model: str | None = None
    """The model of the paper whose published numbers apply, such as `llava-1.5-13b`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSpec(Described):
    """One checkpoint, as resolved from what the user typed."""

    name: str
    """As the user typed it."""
    source: str
    """A folder, a hub id, the name that the builder is called with, or the class of a model that is
    in memory already."""
    kind: Literal["folder", "hub", "built", "memory"]
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: str = "auto"
    """`auto` keeps the precision that the weights are stored in, half precision on a CPU too."""
    device: str = "cpu"
    gguf_file: str | None = None
    """Name of the GGUF file that holds the weights, where they are not in safetensors."""
    input: InputChoice = "hub"
    """How samples become model input: as the paper's program does it, or as the checkpoint's own
    processor does."""
    patches: PatchRule = "overlap"
    """Which patches show an object: those that overlap its box, or those that the paper's program
    finds red after painting it."""
    compat: Compat = "careful"
    """Where the published program and a careful reading of the paper differ, which of them is
    followed: how options are found in the question, which tokens a word of the lens is, and which
    lens decides (docs/contradictions.md)."""
    template: str | None = None
    """`plain`, or the path of a jinja chat template that replaces the checkpoint's own."""
    attention: str | None = None
    """`eager` or `sdpa`: what the model is loaded with; None leaves it to transformers."""
    device_map: str | None = None
    """What accelerate spreads the model over: `auto`, `balanced`, `sequential` or one device. None
    puts it on `device` as a whole."""
    max_memory: str | None = None
    """Limits for `device_map`, as `0:20GiB;cpu:60GiB`."""
    offload_folder: str | None = None
    """Where accelerate keeps the weights that fit nowhere else."""
    quantization: str | None = None
    """`int8` or `int4`, by bitsandbytes."""
    adapter: str | None = None
    """Folder or hub id of a LoRA adapter."""
    base: str | None = None
    """Folder or hub id of what an adapter or a projector was trained on, in place of what they
    name themselves."""
    vision_tower: str | None = None
    """Folder or hub id, in place of the one that a checkpoint of the original format names."""
    trust_remote_code: bool = False
    offline: bool = False
    model_args: Mapping[str, str] = field(default_factory=dict)
    """The settings above that may move a number, as the user typed them, for the identity of
    measurements; files that they name count by their content."""
