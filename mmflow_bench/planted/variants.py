"""The shipped planted checkpoints: the base, and variants of it with one thing changed.

Mutants take one mechanism out; where that would take its content out too, the content comes
another way, so that the answer stays as probable as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted.codebook import EXCHANGED, GROWING, LAYERED, OF_THE_IMAGE
from mmflow_bench.planted.designs import BASE, MINI, PAPER_STAGES, Design
from mmflow_bench.planted.gains import (
    PARTLY_DIRECT,
    WHOLLY_DIRECT,
    WITH_BACKGROUND,
    WITH_CAPTIONS,
    WITH_OPTIONS,
    clearly_looked_up,
    with_context,
)
from mmflow_bench.planted.part_gains import PART_GAINS


def _stages(*removed: str, **replaced: str | tuple[str, ...]) -> tuple[str, ...]:
    """The paper's stages without some, and with others in the place of some."""
    result: list[str] = []
    for name in PAPER_STAGES:
        new = replaced.get(name, name)
        if name not in removed:
            result += [new] if isinstance(new, str) else new
    return tuple(result)


def _variant(name: str, **changes: Any) -> Design:
    return replace(BASE, name=f"planted/{name}", **changes)


_MUTANTS = (
    _variant(
        "no-stage-1",
        stages=_stages(read_context="read_context_by_newline"),
        extra_flags=("newline",),
    ),
    _variant(
        "no-stage-2",
        stages=_stages(look_up_objects="look_up_objects_by_newline"),
        extra_flags=("newline",),
        width=256,
    ),
    _variant("single-stage", lookup_layer=0),
    *(
        _variant(f"one-transfer-{layer}", context_layer=layer, lookup_layer=layer)
        for layer in (2, 3, 4, 6)
    ),
    _variant("two-transfers-0-8", lookup_layer=8, gather_layer=9),
    *(
        _variant(
            f"two-transfers-{layer}-14",
            context_layer=layer,
            lookup_layer=14,
            gather_layer=15,
            decision_transfer=range(16, 37),
        )
        for layer in (2, 3)
    ),
    _variant("swapped", context_layer=10, lookup_layer=0),
    _variant(
        "late-stage-2",
        lookup_layer=22,
        gather_layer=23,
        mlp_width=64,
        context_transfer=range(13, 29),
        decision_transfer=range(24, 38),
    ),
    _variant("stage-1-related", stages=_stages(read_context="look_up_early"), width=256),
    _variant(
        "stage-2-from-other",
        stages=_stages("gather_objects", "decide", look_up_objects="decide_by_wallpaper"),
    ),
    _variant(
        "direct",
        stages=("read_directly", "capitalise"),
        direct_layers=BASE.transfer_layers,
        gains=WHOLLY_DIRECT,
    ),
    _variant("image-last-too", gains=PARTLY_DIRECT),
    _variant(
        "suffix-readout",
        stages=_stages(transfer_to_last="transfer_by_suffix"),
        suffix_share={"context": 1.0, "decision": 1.0},
    ),
    _variant(
        "early-question-last",
        stages=_stages(transfer_to_last=("transfer_to_last", "release")),
        transfer_layers=range(12, 16),
        held=0.67,
        release_layers=range(22, 38),
    ),
    _variant(
        "order-reversed",
        stages=_stages(transfer_to_last=("transfer_to_last", "transfer_by_suffix", "release")),
        context_transfer=range(2, 5),
        held=1.0,
        release_layers=BASE.transfer_layers,
        suffix_share={"decision": 1.0},
    ),
    _variant("middle-readout", transfer_layers=range(15, 30)),
    _variant("self-loop", stages=_stages(transfer_to_last="transfer_by_itself")),
    _variant("no-lower", case_changes=(), landing="upper"),
    _variant(
        "lower-kept",
        stages=(*PAPER_STAGES, "keep_lower"),
        kept_below=1.917,
        gains=clearly_looked_up(Task.COMPARE_ATTR, Task.LOGICAL_OBJ),
    ),
    _variant("upper-early", case_changes=((17, 0.35), (19, 0.35), *BASE.case_changes)),
)
_FURTHER = (
    _variant(
        "false-option-first",
        stages=(*PAPER_STAGES, "doubt_answer"),
        doubt=5.0,
        extra_flags=("option",),
        width=256,
    ),
    _variant("lens-mode", muted_by_norm=("lower",)),
    _variant("direct-capital", spoken=("upper",)),
    _variant(
        "suffix-bypass",
        stages=_stages(transfer_to_last=("transfer_to_last", "transfer_by_suffix")),
        suffix_share={"context": 0.6, "decision": 0.6},
    ),
    _variant(
        "true-false-option",
        stages=(*PAPER_STAGES, "read_options"),
        gains=WITH_OPTIONS,
        extra_flags=("option",),
        width=256,
    ),
    _variant(
        "grouped-query",
        layers=32,
        lookup_layer=8,
        gather_layer=9,
        transfer_layers=range(11, 27),
        direct_layers=range(16, 17),
        case_changes=(
            *((layer, 0.1) for layer in range(18, 22)),
            *((layer, 0.17) for layer in range(22, 27)),
            (27, 0.4),
            (28, 0.5),
            (29, 0.6),
            (30, 1.0),
        ),
        key_value_heads=2,
    ),
    _variant(
        "sink-trap",
        stages=(*_stages(read_context="read_context_by_newline"), "sink_into_image"),
        extra_flags=("newline",),
        distractor=7.27,
    ),
    _variant("backup-head", stages=(*PAPER_STAGES, "back_up_context")),
    _variant("dose-hard"),
    _variant("dose-linear", context_rivals=48, gains=clearly_looked_up(Task.LOGICAL_OBJ)),
    _variant("prune-safe", stages=(*PAPER_STAGES, "look_idly"), idle_layers=range(24, 34)),
    _variant(
        "prune-unsafe",
        context_layer=21,
        lookup_layer=23,
        gather_layer=24,
        mlp_width=64,
        transfer_layers=range(25, 32),
    ),
    _variant("rotated", disguise_seed=0, width=192, mlp_width=64),
    _variant("trained", disguise_seed=0, width=192, mlp_width=64, trained=True),
    _variant("tiled", tiled=True),
    _variant(
        "background-places",
        stages=(*PAPER_STAGES, "decide_places_by_wallpaper"),
        gains=WITH_BACKGROUND,
    ),
    _variant(
        "question-parts",
        stages=_stages(
            read_question=("read_question", "tell_words"),
            look_up_objects=("look_up_when_told", "look_up_by_mark", "confirm_option"),
            transfer_to_last=("mix_context", "transfer_parts"),
        ),
        gains=PART_GAINS,
        transfer_layers=range(18, 28),
        extra_flags=("any_option", "opening"),
        width=256,
        heads=8,
        key_value_heads=8,
    ),
    _variant("two-pieces", stages=(*PAPER_STAGES, "finish_word"), is_split=True, width=256),
    _variant("pieces-by-rote", is_split=True, width=256),
    *(
        _variant(
            f"sentence-from-{source}",
            stages=("begin_and_go_on", f"name_from_{source}"),
            direct_layers=range(14, 22),
            extra_flags=("option",),
            width=256,
        )
        for source in ("image", "question")
    ),
    *(
        _variant(
            name,
            stages=_stages(read_context=reading),
            tower_sink=tower,
            decoder_sink=decoder,
            width=512,
        )
        for name, reading, tower, decoder in (
            ("sinks-idle", "read_context", "idle", "idle"),
            ("tower-sink-read", "read_context_by_sink", "context", "idle"),
            ("decoder-sink-read", "read_context_by_sink", "idle", "context"),
        )
    ),
    _variant(
        "padding-read",
        stages=_stages(read_context="read_context_by_sink"),
        tower_sink="context",
        sink_place="padding",
        width=256,
    ),
    _variant("module-codebook", stages=(*PAPER_STAGES, "write_codebook"), extra_flags=("code",)),
    *(
        _variant(
            f"{name}-codebook",
            stages=(*PAPER_STAGES, "write_codes"),
            codebook=codebook,
            width=256,
        )
        for name, codebook in (
            ("layered", LAYERED),
            ("attention", EXCHANGED),
            ("growing", GROWING),
            ("image", OF_THE_IMAGE),
        )
    ),
    _variant(
        "narrow-gate",
        stages=_stages(
            read_context="read_context_by_newline", look_up_objects="look_up_objects_by_newline"
        ),
        extra_flags=("newline",),
        width=256,
    ),
    _variant(
        "row-ends",
        stages=_stages(read_context="read_context_by_row_ends"),
        tiled=True,
        knows_row_ends=True,
        width=256,
    ),
    _variant("shared-heads", stages=_stages(read_context="share_context")),
    _variant(
        "late-image",
        stages=(*PAPER_STAGES, "ripen_image"),
        context_layer=6,
        # nothing reads the image after it has ripened
        direct_layers=range(12, 13),
        ripe_gain=2.0,
    ),
    _variant(
        "mixed-image",
        stages=_stages(
            read_context=("mix_image", "read_mixed_context"), look_up_objects="look_up_confirmed"
        ),
        context_layer=6,
        width=256,
    ),
)


def _smaller(name: str, **changes: Any) -> Design:
    """The base in 32 layers, as the paper's checkpoints besides LLaVA-1.5-13b are."""
    (grouped,) = (one for one in _FURTHER if one.key_value_heads < one.heads)
    return replace(grouped, name=f"planted/{name}", **changes)


# In the place of the paper's other checkpoints, as it says of them or not.
_AS_OTHERS = (
    _smaller("as-7b", key_value_heads=4, gains=with_context(0.75)),
    _smaller("as-7b-sharp", key_value_heads=4, gains=with_context(1.1)),
    _smaller("as-16-7b", key_value_heads=4),
    _smaller("as-16-7b-capital", key_value_heads=4, spoken=("upper",)),
    _smaller("as-8b", spoken=("upper",)),
    _smaller("as-8b-lower"),
    _smaller("line-break", extra_flags=("break",), width=320),
)
_TEXT_ONLY = tuple(
    _variant(
        name,
        stages=("read_caption", "relate_caption", "transfer_to_last", "capitalise"),
        extra_flags=("captioned",),
        width=320,
        gains=WITH_CAPTIONS,
        caption_layers=told,
        transfer_layers=read,
    )
    for name, told, read in (
        ("text", range(2, 8), range(14, 24)),
        ("text-late-question", range(2, 8), range(31, 38)),
        ("text-mid-caption", range(14, 18), range(20, 30)),
        ("text-late-caption", range(26, 32), range(14, 24)),
    )
)
DESIGNS: Mapping[str, Design] = MappingProxyType(
    {one.name: one for one in (BASE, MINI, *_MUTANTS, *_FURTHER, *_AS_OTHERS, *_TEXT_ONLY)}
)


def design_of(name: str) -> Design:
    """The design of a shipped checkpoint.

    Raises:
        CheckpointError: There is none of that name.
    """
    if name not in DESIGNS:
        raise CheckpointError(
            f"a planted checkpoint ({', '.join(DESIGNS)}), got {name!r}; use one of these names"
        )
    return DESIGNS[name]
