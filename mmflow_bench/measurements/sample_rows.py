"""Everything measured of one sample from its clean pass: its answer, then whatever is wanted.

What cannot be measured of a sample becomes an `unscored` row with its reason, under what it has no
positions for.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import groupby
from weakref import proxy

from mmflow_bench.checkpoints.families.layout import ImageLayout
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.readout import Readout
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import (
    chances_of,
    first_tokens,
    greedy_answer,
    require_finite,
)
from mmflow_bench.measurements.donors import Donors
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.memory import Throttle
from mmflow_bench.measurements.patch_features import (
    PatchFeatures,
    decoder_sinks,
    patch_features,
)
from mmflow_bench.measurements.taking import taking_inputs
from mmflow_bench.measurements.wants import (
    ANSWER_SCOPE,
    ANSWERS,
    PATCHES,
    UNSCORED,
    Answer,
    Rows,
    Want,
)
from mmflow_bench.positions.resolve import patches_overlapping, resolve_roles
from mmflow_bench.positions.role_positions import RolePositions
from mmflow_bench.positions.roles import Role


@dataclass(frozen=True, kw_only=True)
class SampleAtWork:
    """Everything that a kind of measurement may use of one sample."""

    throttle: Throttle
    """Runs knockouts, in smaller parts where memory is short."""
    job: Job
    encoded: EncodedSample
    clean: CleanPass
    donors: Donors
    answer: Answer

    @property
    def checkpoint(self) -> LoadedCheckpoint:
        return self.throttle.checkpoint

    @property
    def sample(self) -> Sample:
        return self.job.sample

    @cached_property
    def roles(self) -> RolePositions:
        # Held by this object, they must not hold it: memory of a ring is given back late.
        find_sinks = partial(SampleAtWork._find_sinks, proxy(self))
        return resolve_roles(self.encoded, self.checkpoint, find_sinks)

    @cached_property
    def features(self) -> PatchFeatures:
        """Norms of the patches, which take one more pass of the tower."""
        image = self.roles[Role.IMAGE]
        with taking_inputs(self.checkpoint, self.encoded):
            return patch_features(self.checkpoint, self.encoded, self.clean, image)

    def _find_sinks(self, role: Role) -> frozenset[int]:
        if role is Role.DECODER_SINKS:
            return decoder_sinks(self.clean, self.roles[Role.IMAGE])
        return self.features.sinks

    @cached_property
    def nothing(self) -> Knockout:
        """A knockout of no edge at all, whose distance from the clean pass is noise."""
        layers = range(self.checkpoint.decoder_layers)
        return Knockout(sources=(), targets=(self.clean.length - 1,), layers=layers)

    @cached_property
    def followed(self) -> tuple[Sequence[int], ...]:
        """Tokens of which the probability is kept: of the answer, then of the reference if any."""
        own = [self.answer["answer_token_id"]]
        if self.answer["reference_token_id"] is None:
            return (own,)
        return own, sorted(first_tokens(self.checkpoint, self.sample.answer))

    @cached_property
    def readout(self) -> Readout:
        """Probabilities of what is followed, under masked interventions.

        One kind of measurement has some that another needs.
        """
        return chances_of(self.followed)

    def noise(self) -> float:
        """Relative difference that the instrument itself makes.

        Raises:
            NotFiniteError: Logits overflow although nothing is cut.
        """
        (kept,) = self.throttle.knockout_logits(self.clean, [self.nothing], readout=self.readout)
        require_finite(kept, f"a knockout of no edge, sample {self.sample.question_id}")
        base = self.answer["base_probability"]
        return abs(float(kept[0]) - base) / base

    @cached_property
    def donated(self) -> CleanPass:
        """That of the same question about the donor's image."""
        return self.donors.clean_pass(self.job)

    def refused(self, want: Want[object], error: KnockoutError | SampleError) -> Rows:
        return unscored_rows(self.job.key_of(want), want.shard.name, error)


def sample_rows(
    throttle: Throttle,
    job: Job,
    encoded: EncodedSample,
    clean: CleanPass,
    donors: Donors,
    *,
    is_asked: bool,
) -> Rows:
    """The rows of one sample, by shard; without `is_asked`, no more than its answer.

    A sample whose answer cannot be followed has one row, which says why.
    """
    try:
        answer = job.answer or _answer(throttle.checkpoint, encoded, clean)
        work = SampleAtWork(
            throttle=throttle, job=job, encoded=encoded, clean=clean, donors=donors, answer=answer
        )
        wanted = _wanted_rows(work) if is_asked else {}
        noise = work.noise() if job.answer is None else None
    except SampleError as error:
        return unscored_rows(job.key, ANSWER_SCOPE, error)
    if noise is None:
        return wanted
    answered: Rows = {ANSWERS: [{"sample": job.key, **answer, "noise": noise}]}
    # Stored in this order, and done with once the answer is stored: the patches go first.
    return {**_patch_rows(encoded, job.key), **answered, **wanted}


def _answer(checkpoint: LoadedCheckpoint, encoded: EncodedSample, clean: CleanPass) -> Answer:
    with taking_inputs(checkpoint, encoded):
        return greedy_answer(checkpoint, clean, encoded.sample)


def _wanted_rows(work: SampleAtWork) -> Rows:
    rows: Rows = {}
    asked = [want for want in work.job.wants if work.job.asks(want, work.answer)]
    # What the question says is read before sweeps are: such a pass has both.
    by_kind = sorted(asked, key=lambda want: (not want.adds_to_readout, want.measured_by))
    for place, wants in groupby(by_kind, key=lambda want: want.measured_by):
        module, _, name = place.partition(":")
        merge(rows, getattr(importlib.import_module(module), name)(list(wants), work))
    return rows


def _patch_rows(encoded: EncodedSample, key: str) -> Rows:
    """A row with the patches that show the objects asked about; nothing without grid or boxes.

    `left`, `top` and the sizes are in pixels of the photo as it went in; patches count row by row.
    Only the grid of the whole photo is kept: tiles show the same objects again.
    """
    if encoded.layout is None or not encoded.layout.grids or not encoded.boxes:
        return {}
    grid = replace(encoded.layout.grids[0], first_token=0, row_tokens=None)
    horizontal, vertical = grid.horizontal, grid.vertical
    row: dict[str, object] = {
        "sample": key,
        "width": horizontal.original,
        "height": vertical.original,
        "rows": grid.rows,
        "columns": grid.columns,
        "left": -horizontal.offset / horizontal.scale,
        "top": -vertical.offset / vertical.scale,
        "cell_width": grid.patch_size / horizontal.scale,
        "cell_height": grid.patch_size / vertical.scale,
        "related": sorted(patches_overlapping(encoded.boxes, ImageLayout(grids=(grid,)))),
    }
    return {PATCHES: [row]}


def unscored_rows(key: str, scope: str, error: KnockoutError | SampleError) -> Rows:
    reason = error.reason if isinstance(error, SampleError) else "knockout-refused"
    # Names of files may hold bytes that are no text.
    message = str(error).encode(errors="replace").decode()
    return {UNSCORED: [{"sample": key, "scope": scope, "reason": reason, "message": message}]}


def merge(rows: Rows, more: Rows) -> None:
    for shard, added in more.items():
        rows.setdefault(shard, []).extend(added)
