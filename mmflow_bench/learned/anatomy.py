"""What a LLaVA on Gemma 3 270M looks like: a tower of 36 patches, a projector, the language model.

Gemma multiplies the embeddings of words by the square root of its width before its first layer, and
image features are put beside them after that: a projector has to learn vectors of that size.
"""

from __future__ import annotations

from transformers import (
    Gemma3TextConfig,
    LlavaConfig,
    LlavaProcessor,
    PreTrainedTokenizerBase,
    SiglipVisionConfig,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from mmflow_bench.scenes.pictures import GRID, PATCH
from mmflow_bench.scenes.rendering import SIZE

IMAGE_TOKEN = "<start_of_image>"
"""Of Gemma's own vocabulary; language models of this size never see it."""
CHAT_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{{ '" + IMAGE_TOKEN + r"' if part['type'] == 'image' else '\n' + part['text'] }}"
    r"{% endfor %}{% endfor %}{{ '\nAnswer:' if add_generation_prompt }}"
)
"""Short, and ends as a base model goes on with an answer."""


def vision_config() -> SiglipVisionConfig:
    """A tower of 0.4 million weights, without a class position."""
    return SiglipVisionConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=PATCH,
        vision_use_head=False,
    )


def llava_config(text: Gemma3TextConfig, tokenizer: PreTrainedTokenizerBase) -> LlavaConfig:
    """The configuration of tower, projector and language model together."""
    image_token = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    assert isinstance(image_token, int)
    return LlavaConfig(
        vision_config=vision_config(),
        text_config=text,
        image_token_index=image_token,
        image_seq_length=GRID * GRID,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )


def llava_processor(tokenizer: PreTrainedTokenizerBase) -> LlavaProcessor:
    """What turns photos and questions into the model's input."""
    return LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE}),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
        image_token=IMAGE_TOKEN,
        chat_template=CHAT_TEMPLATE,
    )
