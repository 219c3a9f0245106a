"""Small checkpoints of the original LLaVA format, written from modules that know nothing of it.

A language model, a CLIP or SigLIP, a projector and a newline are created on their own and saved
under the names of the original trainers. What the whole must compute is known from the parts:
`expected_logits` puts them together by hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaProcessor,
    MistralConfig,
    MistralForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

PAPER_PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
TOWER_NAME = "tower"
_DECODERS: dict[str, tuple[type[PretrainedConfig], type[PreTrainedModel]]] = {
    "llava_llama": (LlamaConfig, LlamaForCausalLM),
    "llava": (LlamaConfig, LlamaForCausalLM),
    "llava_mistral": (MistralConfig, MistralForCausalLM),
    "llava_qwen": (Qwen2Config, Qwen2ForCausalLM),
}
_TEXT = [
    "What color is the cup, red or blue?",
    "Is the box to the left or to the right of the ball?",
    "A chat between a curious user and an artificial intelligence assistant. USER: ASSISTANT:",
    "Answer the question using a single word or phrase.",
]


@dataclass(frozen=True)
class OriginalLlava:
    """A saved checkpoint and the modules that it was written from."""

    folder: Path
    tower_folder: Path
    language_model: PreTrainedModel
    tower: PreTrainedModel
    projector: nn.Module
    newline: Tensor
    tokenizer: PreTrainedTokenizerBase
    config: dict[str, Any] = field(default_factory=dict)
    """The content of `config.json`."""

    def tensors(self, *, with_tower: bool = False) -> dict[str, Tensor]:
        """All weights under the original names."""
        named = dict(self.language_model.state_dict())
        if self.language_model.config.tie_word_embeddings:
            named.pop("lm_head.weight")
        named |= {f"model.mm_projector.{k}": v for k, v in self.projector.state_dict().items()}
        if "anyres" in str(self.config["image_aspect_ratio"]):
            named["model.image_newline"] = self.newline
        if with_tower:
            prefix = "model.vision_tower.vision_tower.vision_model."
            named |= {f"{prefix}{k}": v for k, v in self.tower.state_dict().items()}
        # Copies: safetensors refuses tensors that share memory.
        return {name: tensor.detach().clone() for name, tensor in named.items()}

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """Projected features of every picture: (pictures, patches, hidden)."""
        states = self.tower(pixels, output_hidden_states=True).hidden_states
        chosen = states[-2]
        has_class = isinstance(self.tower, CLIPVisionModel)
        if has_class and self.config["mm_vision_select_feature"] == "patch":
            chosen = chosen[:, 1:]
        return self.projector(chosen)

    @torch.no_grad()
    def expected_logits(
        self, before: Sequence[int], pixels: Tensor, after: Sequence[int]
    ) -> Tensor:
        """Logits of a sequence with one untiled picture, put together by hand."""
        embed = self.language_model.get_input_embeddings()
        parts = [
            embed(torch.tensor([list(before)])),
            self.features(pixels),
            embed(torch.tensor([list(after)])),
        ]
        return self.language_model(inputs_embeds=torch.cat(parts, dim=1)).logits


def save_original(
    folder: Path,
    *,
    model_type: str = "llava_llama",
    aspect_ratio: str = "pad",
    tower: str = "named",
    weights: str = "safetensors",
    projector: str = "mlp2x_gelu",
    side: int = 28,
    patch: int = 7,
    pinpoints: Any = None,
    siglip: bool = False,
    tokenizer: PreTrainedTokenizerBase | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    text: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    layers: int = 3,
    hidden: int = 32,
) -> OriginalLlava:
    """Write a checkpoint to `folder` and its vision tower next to it, to `folder.parent/tower`.

    Args:
        folder: Created.
        model_type: `llava_llama`, `llava_mistral`, `llava_qwen` or `llava`.
        aspect_ratio: `pad`, `square`, `anyres` or `anyres_max_N`.
        tower: `named` in the configuration, or `contained` in the weights as well.
        weights: `safetensors`, `bin`, `sharded` or `sharded-bin`.
        projector: `mlp2x_gelu` or `linear`.
        side: Pixels of a tile; 336 with `patch=14` is the true geometry.
        patch: Pixels of a patch.
        pinpoints: (width, height) of the grids of tiles; all of up to two by two where None.
        siglip: A SigLIP tower in place of a CLIP.
        tokenizer: Saved to the folder; a small SentencePiece-like one where None.
        dtype: Of all weights.
        seed: Of the random weights.
        text: Settings of the language model, over the small ones.
        settings: More keys of `config.json`.
        layers: Of the language model.
        hidden: Its width.
    """
    torch.manual_seed(seed)
    tokenizer = tokenizer or sentencepiece_like_tokenizer()
    config_class, model_class = _DECODERS[model_type]
    shape = {
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
    } | (text or {})
    decoder = _sharpened(model_class(config_class(**_as_transformers(shape))))
    vision = _sharpened(_tower(siglip, side, patch))
    parts = [nn.Linear(vision.config.hidden_size, hidden)]
    if projector == "mlp2x_gelu":
        parts += [nn.GELU(), nn.Linear(hidden, hidden)]
    tiles = pinpoints or [[side, 2 * side], [2 * side, side], [2 * side, 2 * side]]
    config = shape | {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": model_type,
        "torch_dtype": str(dtype).removeprefix("torch."),
        "mm_vision_tower": TOWER_NAME,
        "mm_hidden_size": vision.config.hidden_size,
        "mm_projector_type": projector,
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "use_mm_proj": True,
        "image_aspect_ratio": aspect_ratio,
        "tokenizer_model_max_length": 2048,
        "freeze_mm_mlp_adapter": False,
    }
    if "anyres" in aspect_ratio:
        config |= {"mm_patch_merge_type": "spatial_unpad", "image_grid_pinpoints": tiles}
    saved = OriginalLlava(
        folder=folder,
        tower_folder=folder.parent / TOWER_NAME,
        language_model=_rounded(decoder, dtype),
        tower=_rounded(vision, dtype),
        projector=_rounded(nn.Sequential(*parts) if len(parts) > 1 else parts[0], dtype),
        newline=torch.randn(hidden).to(dtype),
        tokenizer=tokenizer,
        config=config | (settings or {}),
    )
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("config.json").write_text(json.dumps(saved.config, indent=1))
    tokenizer.save_pretrained(folder)
    save_weights(folder, saved.tensors(with_tower=tower == "contained"), weights)
    _save_tower(saved, siglip, side)
    return saved


def _as_transformers(shape: dict[str, Any]) -> dict[str, Any]:
    """The same settings, with rotary positions as transformers 5 has them."""
    theta = shape.get("rope_theta")
    others = {key: value for key, value in shape.items() if key != "rope_theta"}
    if theta is None:
        return others
    return others | {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}


def _tower(siglip: bool, side: int, patch: int) -> PreTrainedModel:
    shape: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": side,
        "patch_size": patch,
    }
    if siglip:
        return SiglipVisionModel(SiglipVisionConfig(**shape, vision_use_head=False))
    return CLIPVisionModel(CLIPVisionConfig(**shape))


def _sharpened(model: PreTrainedModel) -> PreTrainedModel:
    """As initialised, attention is all but uniform and pictures change next to nothing."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4.0)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def _rounded(module: nn.Module, dtype: torch.dtype) -> Any:
    """Parameters in another precision; buffers, such as rotary frequencies, stay single."""
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)
    return module


def _save_tower(saved: OriginalLlava, siglip: bool, side: int) -> None:
    saved.tower.save_pretrained(saved.tower_folder)
    processor = (
        SiglipImageProcessorPil(size={"height": side, "width": side})
        if siglip
        else CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        )
    )
    processor.save_pretrained(saved.tower_folder)


def save_weights(folder: Path, tensors: dict[str, Tensor], kind: str = "safetensors") -> None:
    """Write weights in one file or three, with an index, as the trainers do."""
    if kind in ("safetensors", "bin"):
        _save(tensors, folder, "model" if kind == "safetensors" else "pytorch_model", kind)
        return
    suffix = "bin" if kind.endswith("bin") else "safetensors"
    stem = "pytorch_model" if suffix == "bin" else "model"
    names = sorted(tensors)
    index = {}
    for shard in range(3):
        part = names[shard::3]
        file = _save(
            {name: tensors[name] for name in part},
            folder,
            f"{stem}-{shard + 1:05d}-of-00003",
            suffix,
        )
        index |= dict.fromkeys(part, file)
    content = {"metadata": {}, "weight_map": index}
    folder.joinpath(f"{stem}.{suffix}.index.json").write_text(json.dumps(content))


def _save(tensors: dict[str, Tensor], folder: Path, stem: str, suffix: str) -> str:
    path = folder / f"{stem}.{suffix}"
    if suffix == "bin":
        torch.save(tensors, path)
    else:
        save_file({k: v.contiguous() for k, v in tensors.items()}, path, {"format": "pt"})
    return path.name


def save_lora(
    folder: Path,
    base: OriginalLlava,
    *,
    modules: Sequence[str] = ("q_proj", "v_proj", "down_proj"),
    rank: int = 2,
    settings: dict[str, Any] | None = None,
    weights: str = "safetensors",
    base_name: str | None = None,
    seed: int = 7,
) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]:
    """Write what LLaVA's `train.py --lora_enable True` leaves behind, without a tokenizer.

    Returns:
        Weight -> (A, B) of every adapted module, and the new projector, by original names.
    """
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    content = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": 2 * rank,
        "base_model_name_or_path": base_name or str(base.folder),
        "target_modules": list(modules),
        "bias": "none",
    } | (settings or {})
    folder.joinpath("adapter_config.json").write_text(json.dumps(content))
    folder.joinpath("config.json").write_text(json.dumps(base.config))
    pairs = {}
    for name, weight in base.language_model.state_dict().items():
        if name.endswith(tuple(f"{module}.weight" for module in modules)):
            rows, columns = weight.shape
            pairs[name] = torch.randn(rank, columns) / 4, torch.randn(rows, rank) / 4
    tensors = {}
    for name, (first, second) in pairs.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        tensors |= {f"{stem}.lora_A.weight": first, f"{stem}.lora_B.weight": second}
    _save(tensors, folder, "adapter_model", weights)
    projector = {
        f"model.mm_projector.{name}": torch.randn_like(value) / 4
        for name, value in base.projector.state_dict().items()
    }
    torch.save(
        {f"base_model.model.{name}": value for name, value in projector.items()},
        folder / "non_lora_trainables.bin",
    )
    return pairs, projector


def sentencepiece_like_tokenizer() -> PreTrainedTokenizerFast:
    """As Llama-2's: a space before every text, bytes for unknown characters."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained.train_from_iterator(_TEXT, BpeTrainer(vocab_size=380, special_tokens=special))
    content = json.loads(trained.to_str())["model"]
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in content["merges"]]
    tokenizer = Tokenizer(
        models.BPE(
            trained.get_vocab(), merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def save_native(original: OriginalLlava, folder: Path) -> None:
    """The same checkpoint as a converted one: transformers' model and processor, saved by them.

    As in published conversions, the vocabulary has grown to hold the image token, by rows of zeros
    where the original has none to spare. (Zeros take part in a softmax: among few words, not among
    real vocabularies, they are to be seen.)
    """
    tokenizer = PreTrainedTokenizerFast.from_pretrained(original.folder)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>"]})
    model = _native_model(original, tokenizer.convert_tokens_to_ids("<image>"))
    parts = model.model
    parts.vision_tower.load_state_dict(original.tower.state_dict())
    decoder = dict(original.language_model.model.state_dict())
    rows = model.config.text_config.vocab_size - len(decoder["embed_tokens.weight"])
    decoder["embed_tokens.weight"] = nn.functional.pad(
        decoder["embed_tokens.weight"], (0, 0, 0, rows)
    )
    parts.language_model.load_state_dict(decoder)
    with torch.no_grad():
        head = original.language_model.lm_head.weight
        model.lm_head.weight.copy_(nn.functional.pad(head, (0, 0, 0, rows)))
        parts.multi_modal_projector.linear_1.load_state_dict(original.projector[0].state_dict())
        parts.multi_modal_projector.linear_2.load_state_dict(original.projector[2].state_dict())
        if hasattr(parts, "image_newline"):
            parts.image_newline.copy_(original.newline)
    model.save_pretrained(folder)
    _native_processor(model.config, tokenizer).save_pretrained(folder)


def _native_model(original: OriginalLlava, image_token_id: int) -> PreTrainedModel:
    own = original.language_model.config.to_dict()
    text = own | {"vocab_size": max(own["vocab_size"], image_token_id + 64)}
    siglip = isinstance(original.tower, SiglipVisionModel)
    config_class, model_class = {
        "pad": (LlavaConfig, LlavaForConditionalGeneration),
        "anyres": (LlavaNextConfig, LlavaNextForConditionalGeneration),
    }[original.config["image_aspect_ratio"]]
    config = config_class(
        text_config=text,
        vision_config=original.tower.config.to_dict(),
        image_token_id=image_token_id,
        vision_feature_layer=-2,
        vision_feature_select_strategy="full" if siglip else "default",
        tie_word_embeddings=bool(text["tie_word_embeddings"]),
    )
    if "image_grid_pinpoints" in original.config:
        config.image_grid_pinpoints = original.config["image_grid_pinpoints"]
    return model_class(config).to(original.newline.dtype).eval()


def _native_processor(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Any:
    side = config.vision_config.image_size
    common = {
        "tokenizer": tokenizer,
        "patch_size": config.vision_config.patch_size,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "num_additional_image_tokens": 1,
    }
    size = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    if config.model_type == "llava":
        return LlavaProcessor(image_processor=CLIPImageProcessorPil(**size), **common)
    tiles = {"image_grid_pinpoints": config.image_grid_pinpoints}
    images = LlavaNextImageProcessorPil(**size, **tiles)
    return LlavaNextProcessor(image_processor=images, **common)
