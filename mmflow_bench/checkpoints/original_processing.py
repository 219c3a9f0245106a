"""Processors for checkpoints of the original LLaVA format, which come with a tokenizer at most.

Images are processed with PIL, whose results are those of the original programs to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import (
    AddedToken,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.sentencepiece import VOCABULARY, sentencepiece_tokenizer
from mmflow_bench.checkpoints.sources import read_json
from mmflow_bench.errors import CheckpointError

IMAGE_TOKEN = "<image>"
_TOKENIZERS = ("tokenizer.json", VOCABULARY, "vocab.json")
_SIGLIP_MEAN = [0.5, 0.5, 0.5]


def original_tokenizer(
    folders: Sequence[Path], text: PretrainedConfig, *, trust_remote_code: bool
) -> PreTrainedTokenizerBase:
    """The tokenizer of the first folder that has one, with a token for images."""
    folder = next((f for f in folders if any((f / name).is_file() for name in _TOKENIZERS)), None)
    if folder is None:
        raise CheckpointError(
            f"a tokenizer in one of {', '.join(_TOKENIZERS)}, got none "
            f"({', '.join(map(str, folders))}); copy it from the language model"
        )
    tokenizer: PreTrainedTokenizerBase
    if (folder / "tokenizer.json").is_file():
        # As the file says: the class that the configuration names would build another one from the
        # words in it.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    elif (folder / VOCABULARY).is_file():
        tokenizer = sentencepiece_tokenizer(folder)
    else:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, config=text, trust_remote_code=trust_remote_code, local_files_only=True
        )
    # The original programs put a number that is no token where the image goes.
    tokenizer.add_tokens([AddedToken(IMAGE_TOKEN, normalized=False, special=True)])
    return tokenizer


def tower_settings(vision: PretrainedConfig, tower: Path | None) -> Json:
    """Size, normalisation and resampling filter of the tower's own image processor.

    Those of the published towers where there is no folder, or no `preprocessor_config.json` in it.
    """
    side = vision.image_size
    settings: Json = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    if isinstance(vision, SiglipVisionConfig):
        settings |= {"image_mean": _SIGLIP_MEAN, "image_std": _SIGLIP_MEAN}
    path = None if tower is None else tower / "preprocessor_config.json"
    if path is None or not path.is_file():
        return settings
    own = read_json(path)
    kept = ("image_mean", "image_std", "rescale_factor", "resample", "do_normalize", "do_rescale")
    return settings | {key: own[key] for key in kept if own.get(key) is not None}
