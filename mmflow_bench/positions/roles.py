"""The roles that token positions play in a question about an image."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """A named set of positions in the sequence that the decoder sees."""

    IMAGE = "image"
    """Every position that carries image features, newline positions included."""
    CAPTION = "caption"
    """Text that stands in for the image."""
    QUESTION = "question"
    """The question text alone: neither the prompt before it nor the instruction after it."""
    LAST = "last"
    """The final prompt position, which predicts the answer."""
    TRUE_OPTION = "true_option"
    FALSE_OPTION = "false_option"
    OBJECTS = "objects"
    QUESTION_WITHOUT_OPTIONS = "question_without_options"
    QUESTION_WITHOUT_OBJECTS = "question_without_objects"
    RELATED_PATCHES = "related_patches"
    """Image positions whose patch overlaps a box of an asked-about object."""
    OTHER_PATCHES = "other_patches"
    """Image positions that are neither related nor newline."""
    NEWLINE = "newline"
    """Row-separating image positions of anyres checkpoints."""
    SUFFIX = "suffix"
    """Positions after the question and before the last one: instruction and role tokens."""
    PREFIX = "prefix"
    """Positions before the question that carry neither image nor caption."""
    MATCHED_PATCHES = "matched_patches"
    """As many of the other patches as there are related ones, drawn at random by content."""
    PADDING_PATCHES = "padding_patches"
    """Image positions whose patch shows nothing of the photo."""
    SINKS = "sinks"
    """Image positions whose feature has an outstanding norm before the projector."""
    RELATED_WITHOUT_SINKS = "related_without_sinks"
    OTHER_WITHOUT_SINKS = "other_without_sinks"
    DECODER_SINKS = "decoder_sinks"
    """Image positions with massive activations in the dimensions in which the first position has
    them."""
    RELATED_WITHOUT_DECODER_SINKS = "related_without_decoder_sinks"
    OTHER_WITHOUT_DECODER_SINKS = "other_without_decoder_sinks"
    TEXT = "text"
    """Every position that carries no image features."""
    FIRST = "first"
    """The first position of the sequence, where attention goes that finds nothing to read."""
    AFTER_IMAGE = "after_image"
    """The one position right after the last image position, such as an end-of-image token."""
    FOLLOWING = "following"
    """Every position after that one: whatever else is read with the image behind it."""


WITHOUT: Mapping[Role, tuple[Role, Role]] = MappingProxyType(
    {
        Role.RELATED_WITHOUT_SINKS: (Role.RELATED_PATCHES, Role.SINKS),
        Role.OTHER_WITHOUT_SINKS: (Role.OTHER_PATCHES, Role.SINKS),
        Role.RELATED_WITHOUT_DECODER_SINKS: (Role.RELATED_PATCHES, Role.DECODER_SINKS),
        Role.OTHER_WITHOUT_DECODER_SINKS: (Role.OTHER_PATCHES, Role.DECODER_SINKS),
    }
)
"""Roles that are others without some of their positions."""
SINK_ROLES = frozenset({Role.SINKS, Role.DECODER_SINKS})
MEASURED_ROLES = SINK_ROLES | WITHOUT.keys()
"""Roles that only a forward pass can tell (docs/decisions/043)."""
