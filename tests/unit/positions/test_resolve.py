from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import PositionError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.samples import Box, Sample
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.role_positions import RolePositions
from mmflow_bench.positions.roles import MEASURED_ROLES, Role

Build = Callable[..., LoadedCheckpoint]


def a_sample(**changes: Any) -> Sample:
    return replace(
        Sample(
            question_id="007",
            image_id="photo",
            task="ChooseAttr",
            question="What color is the cup, red or blue?",
            answer="red",
            true_option="red",
            false_option="blue",
            object_names=("cup",),
            boxes=(Box(x=0.0, y=0.0, width=10.0, height=10.0),),
            image=Image.new("RGB", (40, 40), "gray"),
        ),
        **changes,
    )


def resolved(sample: Sample, checkpoint: LoadedCheckpoint) -> tuple[EncodedSample, RolePositions]:
    encoded = encode(sample, checkpoint)
    return encoded, resolve_roles(encoded, checkpoint)


def words(encoded: EncodedSample, roles: RolePositions, role: Role) -> str:
    return "".join(encoded.text[slice(*encoded.offsets[i])] for i in roles[role]).strip()


@pytest.fixture(scope="module", params=["sentencepiece", "bytes"])
def checkpoint(image_checkpoint: Build, request: pytest.FixtureRequest) -> LoadedCheckpoint:
    return image_checkpoint(request.param)


def test_text_roles_are_their_words(checkpoint: LoadedCheckpoint) -> None:
    encoded, roles = resolved(a_sample(), checkpoint)
    expected = {
        Role.QUESTION: "What color is the cup, red or blue?",
        Role.TRUE_OPTION: "red",
        Role.FALSE_OPTION: "blue",
        Role.OBJECTS: "cup",
        Role.LAST: ":",
    }
    for role, text in expected.items():
        assert words(encoded, roles, role) == text
    assert words(encoded, roles, Role.SUFFIX).startswith("Answer the question using")
    assert words(encoded, roles, Role.PREFIX).startswith("USER:")


def test_every_position_has_exactly_one_place_in_the_sequence(
    checkpoint: LoadedCheckpoint,
) -> None:
    encoded, roles = resolved(a_sample(), checkpoint)
    parts = (Role.PREFIX, Role.IMAGE, Role.QUESTION, Role.SUFFIX, Role.LAST)
    everywhere = sorted(position for role in parts for position in roles[role])
    assert everywhere == list(range(len(encoded.input_ids)))


def test_what_follows_the_image_is_one_position_and_the_rest(
    checkpoint: LoadedCheckpoint,
) -> None:
    encoded, roles = resolved(a_sample(), checkpoint)
    image, count = roles[Role.IMAGE], len(encoded.input_ids)
    assert roles[Role.TEXT] == tuple(i for i in range(count) if i not in image)
    assert roles[Role.FIRST] == (0,)
    assert roles[Role.AFTER_IMAGE] == (image[-1] + 1,)
    assert roles[Role.FOLLOWING] == tuple(range(image[-1] + 2, count))


def test_without_an_image_nothing_follows_it(text_checkpoint: Build) -> None:
    encoded, roles = resolved(a_sample(caption="a red cup."), text_checkpoint())
    assert len(roles[Role.TEXT]) == len(encoded.input_ids)
    for role in (Role.AFTER_IMAGE, Role.FOLLOWING):
        assert roles.unavailable[role].reason == "no-image"


def test_parts_of_the_question_and_of_the_image_are_disjoint_and_complete(
    checkpoint: LoadedCheckpoint,
) -> None:
    _, roles = resolved(a_sample(), checkpoint)
    options = {*roles[Role.TRUE_OPTION], *roles[Role.FALSE_OPTION]}
    question = set(roles[Role.QUESTION])
    assert set(roles[Role.QUESTION_WITHOUT_OPTIONS]) == question - options
    assert roles.union([Role.FALSE_OPTION, Role.TRUE_OPTION]) == tuple(sorted(options))
    assert roles.union([Role.LAST, Role.QUESTION, Role.TRUE_OPTION]) == tuple(
        sorted({*question, *roles[Role.LAST]})
    )
    assert set(roles[Role.QUESTION_WITHOUT_OBJECTS]) == question - set(roles[Role.OBJECTS])
    related, other = set(roles[Role.RELATED_PATCHES]), set(roles[Role.OTHER_PATCHES])
    assert related | other == set(roles[Role.IMAGE])
    assert not related & other


def test_related_patches_follow_the_box(checkpoint: LoadedCheckpoint) -> None:
    _, roles = resolved(a_sample(), checkpoint)
    first = roles[Role.IMAGE][0]
    assert roles[Role.RELATED_PATCHES] == (first,)
    _, moved = resolved(a_sample(boxes=(Box(x=31.0, y=31.0, width=9.0, height=9.0),)), checkpoint)
    assert moved[Role.RELATED_PATCHES] == (first + 15,)


def test_a_kept_class_token_is_an_image_position_before_the_patches(
    image_checkpoint: Build,
) -> None:
    _, roles = resolved(a_sample(), image_checkpoint(strategy="full"))
    first = roles[Role.IMAGE][0]
    assert len(roles[Role.IMAGE]) == 17
    assert roles[Role.RELATED_PATCHES] == (first + 1,)
    assert first in roles[Role.OTHER_PATCHES]


def test_tiles_have_patches_in_both_grids_and_newlines(tiled_checkpoint: LoadedCheckpoint) -> None:
    # 40 x 40 fills the 2 x 2 tiles of 4 x 4 patches: 16 of the base grid, then 8 rows of 8 + 1.
    _, roles = resolved(a_sample(), tiled_checkpoint)
    image = roles[Role.IMAGE]
    assert len(image) == 16 + 8 * 9
    first = image[0]
    assert roles[Role.NEWLINE] == tuple(first + 16 + 9 * row + 8 for row in range(8))
    # The box covers a quarter of both sides.
    tiles = {first + 16 + 9 * row + column for row in range(2) for column in range(2)}
    assert set(roles[Role.RELATED_PATCHES]) == {first} | tiles
    parts = (Role.RELATED_PATCHES, Role.OTHER_PATCHES, Role.NEWLINE)
    assert sorted(position for role in parts for position in roles[role]) == list(image)


@pytest.mark.parametrize(
    ("changes", "role", "reason"),
    [
        ({"true_option": None}, Role.TRUE_OPTION, "no-options"),
        ({"true_option": None}, Role.QUESTION_WITHOUT_OPTIONS, "no-options"),
        ({"object_names": ()}, Role.OBJECTS, "no-objects"),
        ({"object_names": ("mug",)}, Role.OBJECTS, "phrase-not-in-question"),
        ({"object_names": ("mug",)}, Role.QUESTION_WITHOUT_OBJECTS, "phrase-not-in-question"),
        ({"boxes": ()}, Role.RELATED_PATCHES, "no-boxes"),
        (
            {"boxes": (Box(x=0.0, y=0.0, width=40.0, height=40.0),)},
            Role.OTHER_PATCHES,
            "empty-role",
        ),
        ({"image": Image.new("RGB", (400, 40))}, Role.RELATED_PATCHES, "empty-role"),
        ({}, Role.NEWLINE, "no-newlines"),
        ({}, Role.CAPTION, "no-caption"),
        ({"true_option": "or"}, Role.FALSE_OPTION, None),
    ],
)
def test_a_role_that_cannot_be_placed_says_why_and_spoils_no_other(
    checkpoint: LoadedCheckpoint, changes: dict[str, Any], role: Role, reason: str | None
) -> None:
    _, roles = resolved(a_sample(**changes), checkpoint)
    assert set(roles.positions) | set(roles.unavailable) == set(Role) - MEASURED_ROLES
    assert not set(roles.positions) & set(roles.unavailable)
    assert roles[Role.QUESTION]
    if reason is None:
        assert roles[role]
        return
    with pytest.raises(PositionError, match="sample 007") as caught:
        roles[role]
    assert caught.value.reason == reason


def test_an_option_that_is_there_twice_is_refused(checkpoint: LoadedCheckpoint) -> None:
    sample = a_sample(question="What color is the red cup, red or blue?")
    _, roles = resolved(sample, checkpoint)
    assert roles.unavailable[Role.TRUE_OPTION].reason == "ambiguous-phrase"
    assert roles[Role.FALSE_OPTION]


def test_captions_have_a_role_of_their_own(text_checkpoint: Build) -> None:
    encoded, roles = resolved(a_sample(caption="a red cup.\na table."), text_checkpoint())
    assert words(encoded, roles, Role.CAPTION) == "a red cup.\na table."
    assert words(encoded, roles, Role.QUESTION).startswith("What color is the cup")
    assert roles.unavailable[Role.IMAGE].reason == "no-image"
    taken = {*roles[Role.CAPTION], *roles[Role.QUESTION]}
    assert not taken & {*roles[Role.PREFIX], *roles[Role.SUFFIX]}


def test_a_union_lacks_what_one_of_its_roles_lacks(checkpoint: LoadedCheckpoint) -> None:
    _, roles = resolved(a_sample(false_option=None), checkpoint)
    with pytest.raises(PositionError) as caught:
        roles.union([Role.TRUE_OPTION, Role.FALSE_OPTION])
    assert caught.value.reason == "no-options"


def test_options_in_captions_are_not_taken_for_those_of_the_question(
    text_checkpoint: Build,
) -> None:
    _, roles = resolved(a_sample(caption="a red cup on a blue table."), text_checkpoint())
    assert set(roles[Role.TRUE_OPTION]) <= set(roles[Role.QUESTION])


@pytest.mark.parametrize("kind", ["sentencepiece", "bytes"])
def test_characters_of_several_tokens_are_covered_by_all_of_them(
    image_checkpoint: Build, kind: str
) -> None:
    sample = a_sample(question="Is the cup 紅 or blue?", true_option="紅")
    encoded, roles = resolved(sample, image_checkpoint(kind))
    ids = encoded.input_ids[list(roles[Role.TRUE_OPTION])].tolist()
    checkpoint = image_checkpoint(kind)
    assert checkpoint.tokenizer.decode(ids).strip() == "紅"
    assert len(ids) >= 3
