"""The positions of every role of one encoded sample, or the reason why a role has none.

A role that cannot be placed does not spoil the sample: only what needs it stays unmeasured. No role
is ever an empty set, because a knockout without sources would pass for "no effect".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from mmflow_bench.checkpoints.families.layout import Axis, ImageLayout
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import PositionError
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.inputs.phrases import Span
from mmflow_bench.inputs.samples import Box
from mmflow_bench.positions.chosen import matched, patches_of_padding
from mmflow_bench.positions.role_positions import Positions, RolePositions, SinkFinder, refused
from mmflow_bench.positions.roles import MEASURED_ROLES, Role
from mmflow_bench.positions.spans import find_object, find_phrase, find_published, token_positions

_ROUNDING = 1e-6
"""Patches that an edge touches by less count as touched by no area: floating-point noise."""


def resolve_roles(
    encoded: EncodedSample, checkpoint: LoadedCheckpoint, find_sinks: SinkFinder | None = None
) -> RolePositions:
    """The positions of every role; of `MEASURED_ROLES`, once they are asked for.

    Roles without positions are kept with their reason: `phrase-not-in-question`,
    `ambiguous-phrase`, `no-options`, `no-objects`, `no-image`, `no-caption`, `no-boxes`,
    `no-newlines`, `no-padding`, `too-few-other-patches`, `unsupported-image-grid`, or `empty-role`.
    """
    resolver = _Resolver(encoded, checkpoint)
    positions: dict[Role, Positions] = {}
    unavailable: dict[Role, PositionError] = {}
    for role in Role:
        if role in MEASURED_ROLES:
            continue
        try:
            found = tuple(sorted(set(resolver.of(role))))
            if not found:
                raise resolver.error(role, "at least one position", "none", "empty-role")
            positions[role] = found
        except PositionError as error:
            # Kept for as long as the sample: its traceback would keep everything that the callers
            # hold, in a ring that only the garbage collector finds.
            unavailable[role] = error.with_traceback(None)
    return RolePositions(positions=positions, unavailable=unavailable, find_sinks=find_sinks)


class _Resolver:
    """One encoded sample, asked for one role after the other."""

    def __init__(self, encoded: EncodedSample, checkpoint: LoadedCheckpoint) -> None:
        self.encoded = encoded
        self.sample = encoded.sample
        self.is_literal = checkpoint.spec.compat == "paper"
        image_token_id = checkpoint.parts.image_token_id
        tokens = encoded.input_ids.tolist()
        self.image_positions = [i for i, token in enumerate(tokens) if token == image_token_id]
        self.question = self._covering(encoded.question_span)
        self.last = len(encoded.offsets) - 1

    def of(self, role: Role) -> Iterable[int]:
        finders: Mapping[Role, Callable[[], Iterable[int]]] = {
            Role.IMAGE: self._image,
            Role.CAPTION: self._caption,
            Role.QUESTION: lambda: self.question,
            Role.LAST: lambda: [self.last],
            Role.TRUE_OPTION: lambda: self._option(self.sample.true_option),
            Role.FALSE_OPTION: lambda: self._option(self.sample.false_option),
            Role.OBJECTS: self._objects,
            Role.QUESTION_WITHOUT_OPTIONS: lambda: (
                set(self.question)
                - set(self._option(self.sample.true_option))
                - set(self._option(self.sample.false_option))
            ),
            Role.QUESTION_WITHOUT_OBJECTS: lambda: set(self.question) - set(self._objects()),
            Role.RELATED_PATCHES: self._related,
            Role.OTHER_PATCHES: self._other,
            Role.NEWLINE: self._newlines,
            Role.SUFFIX: lambda: range(max(self.question, default=self.last) + 1, self.last),
            Role.PREFIX: self._prefix,
            Role.MATCHED_PATCHES: self._matched,
            Role.PADDING_PATCHES: self._padding,
            Role.TEXT: lambda: set(range(self.last + 1)) - set(self.image_positions),
            Role.FIRST: self._first,
            Role.AFTER_IMAGE: lambda: self._after_image()[:1],
            Role.FOLLOWING: lambda: self._after_image()[1:],
        }
        return finders[role]()

    def error(self, role: Role | str, expected: str, got: str, reason: str) -> PositionError:
        return refused(role, expected, got, reason, self.sample.question_id)

    def _covering(self, span: Span) -> Positions:
        return token_positions(self.encoded.offsets, *span)

    def _image(self) -> Iterable[int]:
        if not self.image_positions:
            raise self.error(Role.IMAGE, "an image", "a sample without one", "no-image")
        return self.image_positions

    def _caption(self) -> Positions:
        if self.encoded.caption_span is None:
            raise self.error(
                Role.CAPTION, "captions in the image's place", "a sample without", "no-caption"
            )
        return self._covering(self.encoded.caption_span)

    def _in_question(
        self, find: Callable[..., Span], words: str, besides: Iterable[str]
    ) -> Positions:
        start, end = self.encoded.question_span
        if self.is_literal:
            # The published program searches the question with what stands after it.
            found = find_published(self.encoded.text[start:], words, sample=self.sample.question_id)
            return self._covering((start + found[0], start + found[1]))
        text = self.encoded.text[start:end]
        first, last = find(text, words, sample=self.sample.question_id, besides=besides)
        return self._covering((start + first, start + last))

    def _option(self, option: str | None) -> Positions:
        if not option:
            raise self.error("option", "an option", "a sample without", "no-options")
        options = [self.sample.true_option, self.sample.false_option]
        return self._in_question(find_phrase, option, [other for other in options if other])

    def _objects(self) -> Iterable[int]:
        if not self.sample.object_names:
            raise self.error(Role.OBJECTS, "object names", "none", "no-objects")
        for name in self.sample.object_names:
            yield from self._in_question(find_object, name, self.sample.object_names)

    def _related(self) -> Iterable[int]:
        layout = self._layout(Role.RELATED_PATCHES)
        if not self.encoded.boxes:
            raise self.error(Role.RELATED_PATCHES, "boxes", "none", "no-boxes")
        patches: Iterable[int]
        if self.encoded.painted is not None:
            patches, where = self.encoded.painted, "boxes that leave a patch red"
        else:
            patches = patches_overlapping(self.encoded.boxes, layout)
            where = "boxes in the cropped image"
        if not patches:
            raise self.error(Role.RELATED_PATCHES, where, "none", "empty-role")
        return [self.image_positions[patch] for patch in patches]

    def _newlines(self) -> Iterable[int]:
        newlines = self._layout(Role.NEWLINE).newlines
        if not newlines:
            raise self.error(
                Role.NEWLINE, "an image cut into tiles", "a single grid", "no-newlines"
            )
        return [self.image_positions[newline] for newline in newlines]

    def _other(self) -> Iterable[int]:
        newlines = self._layout(Role.OTHER_PATCHES).newlines
        taken = {self.image_positions[newline] for newline in newlines}
        return set(self.image_positions) - set(self._related()) - taken

    def _matched(self) -> Iterable[int]:
        related, other = set(self._related()), set(self._other())
        if len(other) < len(related):
            raise self.error(
                Role.MATCHED_PATCHES,
                f"as many other patches as the {len(related)} related ones",
                str(len(other)),
                "too-few-other-patches",
            )
        # Of what goes in, not of its name: the same sample of another file is drawn alike.
        content = f"{self.encoded.text} {self.encoded.boxes}"
        return matched(other, count=len(related), content=content)

    def _padding(self) -> Iterable[int]:
        patches = patches_of_padding(self._layout(Role.PADDING_PATCHES))
        if not patches:
            raise self.error(
                Role.PADDING_PATCHES, "patches that show padding", "none", "no-padding"
            )
        return [self.image_positions[patch] for patch in patches]

    def _layout(self, role: Role) -> ImageLayout:
        image = list(self._image())
        if self.encoded.layout is None:
            shapes = {name: tuple(v.shape) for name, v in self.encoded.model_inputs.items()}
            raise self.error(
                role,
                "image positions of a known layout",
                f"{len(image)} positions from {shapes}",
                "unsupported-image-grid",
            )
        return self.encoded.layout

    def _prefix(self) -> Iterable[int]:
        end = min(self.question, default=0)
        caption = self.encoded.caption_span
        taken = set(self._covering(caption)) if caption else set()
        return set(range(end)) - set(self.image_positions) - taken

    def _first(self) -> Iterable[int]:
        if 0 in self.image_positions:
            raise self.error(Role.FIRST, "text in front", "an image that comes first", "empty-role")
        return [0]

    def _after_image(self) -> range:
        return range(max(self._image()) + 1, self.last + 1)


def patches_overlapping(boxes: Iterable[Box], layout: ImageLayout) -> set[int]:
    """Patches of every grid that share an area with at least one box, after resize and crop.

    They are counted from the first image position. A box that is cropped away overlaps none. The
    published program paints the box red, resizes and asks which patches hold a pure red pixel, so
    thin boxes and border patches depend on how the resampling kernel rounds; overlap of rectangles
    does not.
    """
    return {
        grid.token(row, column)
        for box in boxes
        for grid in layout.grids
        for row in _cells(box.y, box.height, grid.vertical, grid.patch_size)
        for column in _cells(box.x, box.width, grid.horizontal, grid.patch_size)
    }


def _cells(start: float, extent: float, axis: Axis, patch_size: int) -> range:
    count = axis.processed // patch_size
    first = (start * axis.scale + axis.offset) / patch_size
    last = ((start + extent) * axis.scale + axis.offset) / patch_size
    return range(max(0, math.floor(first + _ROUNDING)), min(count, math.ceil(last - _ROUNDING)))
