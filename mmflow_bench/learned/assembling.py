"""`trained/gemma-scenes`, put together from what ships and from Gemma's weights.

A base and an adapter, as a fine-tune of LLaVA leaves them behind: the base is the language model as
it was, the tower, and the projector as stage 1 left it; the adapter is LoRA for the language model
and the projector after stage 2. Both are read as anybody's are.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from mmflow_bench.checkpoints.aliases import Processor
from mmflow_bench.checkpoints.made import folder_of_made
from mmflow_bench.checkpoints.reading import read_model
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.files import whole_file
from mmflow_bench.learned.anatomy import llava_config, llava_processor
from mmflow_bench.learned.language import SHA256, LanguageModel, read_language_model

SHIPPED = Path(__file__).parent / "gemma_scenes"
SIGHT, ADAPTER = "sight.safetensors", "adapter"
"""Tower and projector before the language model learned to read them; what it learned."""


def build(name: str) -> tuple[PreTrainedModel, Processor]:
    """The model in single precision, and its processor; the first time takes a minute or two.

    Args:
        name: The only one there is, `trained/gemma-scenes`.

    Raises:
        CheckpointError: Gemma's weights are not installed, or not those that it was trained on.
    """
    spec = CheckpointSpec(
        name=name,
        source=str(base_folder(SHIPPED)),
        kind="folder",
        adapter=str(SHIPPED / ADAPTER),
    )
    return read_model(spec)


def base_folder(shipped: Path) -> Path:
    """The base as transformers writes it, in the user's cache; written if it is not there.

    Args:
        shipped: A folder that holds `sight.safetensors`.

    Raises:
        CheckpointError: Gemma's weights are not installed, or not those that it was trained on.
    """
    folder = folder_of_made() / f"gemma-scenes-{_identity(shipped)}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Whoever is interrupted leaves nothing that looks whole; of two at once one is kept.
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            written = Path(scratch) / "base"
            write_base(written, read_language_model(Path(scratch)), load_file(shipped / SIGHT))
            if not folder.exists():
                written.rename(folder)
    return folder


def _identity(shipped: Path) -> str:
    """Hash of the weights that it is made of, and of the code that makes it."""
    code = sorted(Path(__file__).parent.glob("*.py"))
    parts = [SHA256.encode(), *map(whole_file, (shipped / SIGHT, *code))]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def write_base(folder: Path, language: LanguageModel, sight: dict[str, Tensor]) -> None:
    """Write the base: configuration, weights of 16 bits, tokenizer and processor.

    Args:
        folder: Made if it is not there.
        language: Gemma's text model.
        sight: Weights of tower and projector, under LLaVA's names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text_config = language.config
    # Half precision is for the disk; in it, sums on a processor depend on what else is summed.
    text_config.dtype = "float32"
    # Where the language model was read from is nobody's business.
    text_config._name_or_path = ""
    config = llava_config(text_config, language.tokenizer)
    config.architectures = ["LlavaForConditionalGeneration"]
    config.dtype = "float32"
    config.save_pretrained(folder)
    llava_processor(language.tokenizer).save_pretrained(folder)
    text = {f"model.language_model.{name}": value for name, value in language.weights.items()}
    both = {name: value.bfloat16().contiguous() for name, value in {**text, **sight}.items()}
    save_file(both, folder / "model.safetensors", metadata={"format": "pt"})


def save(folder: Path) -> None:
    """Write base and adapter for use without this package: `FOLDER/base` and `FOLDER/adapter`."""
    shutil.copytree(base_folder(SHIPPED), folder / "base")
    shutil.copytree(SHIPPED / ADAPTER, folder / "adapter")
