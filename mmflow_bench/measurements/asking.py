"""Which samples a checkpoint is asked: the user's, the paper's, its own, or rendered scenes."""

from __future__ import annotations

import importlib
from pathlib import Path

from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.inputs.image_sources import image_source
from mmflow_bench.inputs.question_sets import GQA, SHIPPED
from mmflow_bench.inputs.questions import QuestionFile, read_questions
from mmflow_bench.measurements.settings import default_cache
from mmflow_bench.store.address import local_folder

DEFAULT_QUESTIONS = "mmflow_bench.scenes.questions:scene_samples"


def asked_questions(
    spec: CheckpointSpec,
    *,
    questions: Path | None = None,
    images: Path | str | None = None,
    cache: Path | None = None,
) -> QuestionFile:
    """The samples that a checkpoint is asked.

    Those of the question files that `questions` names. When it is None: with `images` the paper's
    question sets, else those of the checkpoint, else the rendered scenes that ship with the
    project. Images from the hub are kept in `cache`, or in the user's own folder.

    Raises:
        QuestionError: The question file or the images cannot be read at all.
    """
    if questions is None and images is None and spec.questions in SHIPPED:
        questions, images = SHIPPED[spec.questions], spec.images
    if questions is None and images is not None:
        questions = SHIPPED[GQA]
    if questions is None:
        module, _, function = (spec.questions or DEFAULT_QUESTIONS).partition(":")
        samples = getattr(importlib.import_module(module), function)()
        return QuestionFile(samples=samples, unscored=(), fingerprint=f"{module}:{function}")
    cache = cache or local_folder(default_cache())
    source = image_source(images, cache=cache, offline=spec.offline) if images else None
    return read_questions(questions, images=source)
