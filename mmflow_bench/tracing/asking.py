"""A photo and a question of a user's own as a sample, with what else they say of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from mmflow_bench.errors import ImageError, QuestionError
from mmflow_bench.inputs.samples import Sample

ASKED = "the question"
"""What errors call the sample."""


def asked_sample(
    image: Image.Image | str | os.PathLike[str] | None,
    question: str,
    *,
    options: Sequence[str] = (),
    objects: Sequence[str] = (),
    caption: str | None = None,
) -> Sample:
    """The sample that a user asks.

    Args:
        image: The photo, or its file; None where there is none to see.
        question: As it is asked; the checkpoint's own prompt is put around it.
        options: The two answers that the question offers, as they stand in it.
        objects: What the question asks about, as it stands in it.
        caption: Text that stands in for the photo.

    Raises:
        ImageError: There is no such file.
        QuestionError: There is no question, or not two different options.
    """
    if isinstance(image, (str, os.PathLike)) and not os.path.isfile(image):
        raise ImageError(
            f"a photo, got no such file ({os.fspath(image)}); check --image",
            reason="missing-image",
        )
    if not question.strip():
        raise QuestionError(
            "a question, got an empty one; write for example --question='Is the jar full?'",
            reason="no-question",
        )
    if options and (len(set(options)) != 2 or not all(one.strip() for one in options)):
        raise QuestionError(
            f"two options that differ, got {', '.join(map(repr, options))}; write them as the "
            "question does, for example --options=full,empty",
            reason="not-two-options",
        )
    first, second = options or (None, None)
    return Sample(
        question_id=ASKED,
        image_id=str(image) if isinstance(image, (str, os.PathLike)) else "photo",
        task="trace",
        question=question,
        # Nobody has said what is right; what is followed is the checkpoint's own answer.
        answer="",
        true_option=first,
        false_option=second,
        object_names=tuple(objects),
        image=Path(image) if isinstance(image, (str, os.PathLike)) else image,
        caption=caption,
    )
