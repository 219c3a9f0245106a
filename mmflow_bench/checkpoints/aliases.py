"""Names for what is parsed or comes from transformers without a type of its own."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object, or keyword arguments in its place; what is in it is checked where it is read."""
Processor: TypeAlias = Any
"""A multimodal processor, or the tokenizer alone: transformers gives the two no common type."""
ImageProcessor: TypeAlias = Any
"""Its settings are read, whichever its class has: transformers declares none of them."""
