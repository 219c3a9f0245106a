"""A Gemma with random weights and a tokenizer of whole words, in the place of the real one."""

from __future__ import annotations

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

from mmflow_bench.inputs.forms import INSTRUCTION
from mmflow_bench.learned.anatomy import IMAGE_TOKEN
from mmflow_bench.learned.language import LanguageModel
from mmflow_bench.scenes.questions import neutral_scene_samples
from mmflow_bench.scenes.things import ANSWERS, MATERIALS

SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", IMAGE_TOKEN)
TINY = {
    "tower_steps": 3,
    "tower_batch": 2,
    "projector_steps": 3,
    "projector_batch": 2,
    "steps": 2,
    "more_steps": 2,
    "scenes": 2,
    "questions": 3,
    "rank": 2,
    "warm_up": 1,
    "keep_every": 2,
    "check_every": 4,
    "check_questions": 1,
}
"""Of a recipe: three stages in a few seconds."""
_WORD = Regex(r" ?\w+|[^\w ]")


def tiny_gemma(seed: int = 0) -> LanguageModel:
    """What `read_language_model` gives, in two layers."""
    tokenizer = word_tokenizer()
    torch.manual_seed(seed)
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        layer_types=["sliding_attention", "full_attention"],
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    weights = Gemma3ForCausalLM(config).model.state_dict()
    return LanguageModel(config=config, weights=weights, tokenizer=tokenizer)


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Words with the space before them, as Gemma's are; no word is in two pieces."""
    asked = [sample.question for sample in neutral_scene_samples(per_task=24)]
    said = [f" {word}" for word in (*ANSWERS, *MATERIALS, "wall", "x")]
    said += [f" {word.capitalize()}" for word in ANSWERS]
    split = pre_tokenizers.Split(_WORD, behavior="isolated")
    texts = [*asked, *said, INSTRUCTION, "\nAnswer:"]
    words = [word for text in texts for word, _ in split.pre_tokenize_str(text)]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys((*SPECIAL, *words)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    bos = [("<bos>", vocabulary["<bos>"])]
    tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=bos)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
    )
