"""A LLaVA on Gemma 3 270M from nothing, by LLaVA's own recipe at small size.

    python examples/trained/make.py FOLDER [--seed 0] [--steps 200]

Three stages: a vision tower, a projector, and LoRA for the language model. Whatever is interrupted
goes on where it was when the same command is given again. FOLDER/adapter is then a checkpoint:

    mmflow run --model=FOLDER/adapter
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import fields
from pathlib import Path

import torch
from plots import draw
from projector import train_projector, word_vectors
from runs import Recipe, Run
from safetensors.torch import load_file
from shipping import ship_adapter, ship_sight
from torch import nn
from tower import train_tower
from transformers import AutoTokenizer, LlavaForConditionalGeneration
from tuning import Student, train_language_model

from mmflow_bench.learned.anatomy import llava_config
from mmflow_bench.learned.assembling import SIGHT, write_base
from mmflow_bench.learned.language import read_language_model


def main(folder: Path, recipe: Recipe) -> None:
    """Train and write `FOLDER/base`, `FOLDER/adapter`, `FOLDER/sight.safetensors`, curves."""
    torch.set_num_threads(1)
    run = Run(folder, recipe)
    if not (folder / "base").exists():
        make_base(run, recipe)
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    llava = LlavaForConditionalGeneration.from_pretrained(folder / "base", dtype=torch.float32)
    # As they were learned, not as they were rounded.
    run.restore("tower", llava.model.vision_tower)
    run.restore("projector", llava.model.multi_modal_projector)
    student = Student(recipe, tokenizer, llava)
    train_language_model(run, recipe, student)
    ship_adapter(folder / "adapter", student.trained, recipe.rank)
    draw(folder / "log.jsonl", folder / "curves.svg")


def make_base(run: Run, recipe: Recipe) -> None:
    """Stages 0 and 1, and what they give in one folder with the language model."""
    tower = train_tower(run, recipe)
    with tempfile.TemporaryDirectory(dir=run.folder) as scratch:
        language = read_language_model(Path(scratch))
        embedding = nn.Embedding.from_pretrained(
            language.weights["embed_tokens.weight"].float() * language.config.hidden_size**0.5
        )
        vectors = word_vectors(language.tokenizer, embedding)
        config = llava_config(language.config, language.tokenizer)
        projector = train_projector(run, recipe, tower, config, vectors)
        ship_sight(run.folder, tower, projector)
        written = Path(scratch) / "base"
        write_base(written, language, load_file(run.folder / SIGHT))
        written.rename(run.folder / "base")


def asked() -> tuple[Path, Recipe]:
    """The folder and the recipe that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    for field in fields(Recipe):
        kind = type(field.default)
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=kind, default=field.default, metavar=kind.__name__)
    given = vars(parser.parse_args())
    return given.pop("folder"), Recipe(**given)


if __name__ == "__main__":
    main(*asked())
