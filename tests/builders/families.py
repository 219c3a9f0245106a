"""The vision-language families that are built tiny, by the names of `family_checkpoint`."""

FAMILIES = (
    "gemma3",
    "idefics3",
    "internvl",
    "llava_next",
    "llava_onevision",
    "mistral3",
    "paligemma",
    "qwen2_5_vl",
    "qwen2_vl",
    "smolvlm",
)
