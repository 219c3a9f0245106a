"""Fine-tunes of the checkpoint that ships, for a gate: one is harmless, the others are not.

    python examples/trained/finetunes.py FOLDER [--only more,int4] [--steps 20]

Each is a checkpoint, FOLDER/NAME, to be gated against `trained/gemma-scenes`. What that one is
asked by itself is in FOLDER/questions.jsonl and FOLDER/images; a folder would be asked other
questions.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from lessons import LESSONS, Lesson
from questions import write_questions
from rounding import ROUNDINGS, round_matrices
from runs import Recipe, Run
from shipping import restore_adapter, ship_adapter
from transformers import AutoTokenizer, LlavaForConditionalGeneration
from tuning import Student, train_language_model

from mmflow_bench.learned import assembling

NAMES = (*LESSONS, *ROUNDINGS)
RECIPE = Recipe(seed=7, steps=20, learning_rate=2e-4, warm_up=5, check_every=20)
"""Other scenes than the checkpoint was made of, a tenth of the steps, at two fifths of the rate."""


def main(folder: Path, names: tuple[str, ...], recipe: Recipe) -> None:
    """Write `FOLDER/base`, `FOLDER/adapter`, one checkpoint for each name, and the questions."""
    torch.set_num_threads(1)
    if not (folder / "base").exists():
        assembling.save(folder)
    write_questions(folder)
    for name in names:
        if name in LESSONS:
            tune(folder, name, LESSONS[name], recipe)
        elif not (folder / name).exists():
            quantise(folder / name, *ROUNDINGS[name])
        print(folder / name, flush=True)


def tune(folder: Path, name: str, lesson: Lesson, recipe: Recipe) -> None:
    """Train on from the shipped adapter, or go on where it was interrupted."""
    run = Run(folder / "trainings" / name, recipe)
    if not (run.folder / "base").exists():
        # What the training keeps on its way finds its base there.
        (run.folder / "base").symlink_to(Path("../../base"))
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    llava = LlavaForConditionalGeneration.from_pretrained(folder / "base", dtype=torch.float32)
    student = Student(recipe, tokenizer, llava)
    restore_adapter(folder / "adapter", student.trained)
    train_language_model(run, recipe, student, lesson)
    ship_adapter(folder / name, student.trained, recipe.rank)


def quantise(folder: Path, bits: int, group: int | None) -> None:
    """The shipped checkpoint, its adapter merged, with rounded matrices in the language model."""
    model, processor = assembling.build("trained/gemma-scenes")
    moved = round_matrices(model.model.language_model.layers, bits, group)
    print(f"{folder.name}: matrices moved by {100 * moved:.1f}% of their norm")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def asked() -> tuple[Path, tuple[str, ...], Recipe]:
    """Folder, names and recipe that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default=",".join(NAMES), help="of these, the default")
    parser.add_argument("--seed", type=int, default=RECIPE.seed)
    parser.add_argument("--steps", type=int, default=RECIPE.steps)
    parser.add_argument("--learning-rate", type=float, default=RECIPE.learning_rate)
    given = parser.parse_args()
    names = tuple(given.only.split(","))
    if not set(names) <= set(NAMES):
        parser.error(f"names among {', '.join(NAMES)}, got {given.only!r} (--only)")
    recipe = replace(RECIPE, seed=given.seed, steps=given.steps, check_every=given.steps)
    return given.folder, names, replace(recipe, learning_rate=given.learning_rate)


if __name__ == "__main__":
    main(*asked())
