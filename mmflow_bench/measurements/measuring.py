"""Samples through the model, several at once where that fits: from jobs to rows for the store.

A `Job` says what one sample still lacks; `measure` turns jobs into rows, one sample after the
other, so that nothing finished is lost. A sample that cannot be measured at all becomes an
`unscored` row with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import NamedTuple

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import ResourceError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.interventions.clean import PER_TOKEN, clean_passes
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.ahead import encoded_ahead
from mmflow_bench.measurements.donors import Donors
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.memory import Throttle, give_back, noticing
from mmflow_bench.measurements.sample_rows import sample_rows, unscored_rows
from mmflow_bench.measurements.shared_images import SharedImage
from mmflow_bench.measurements.taking import model_inputs, taking_inputs
from mmflow_bench.measurements.wants import ANSWER_SCOPE, Rows

_Encoded = tuple[Job, EncodedSample]


class Measured(NamedTuple):
    """The rows of one finished sample, by shard."""

    key: str
    """Content hash of the sample."""
    rows: Rows


def measure(
    checkpoint: LoadedCheckpoint,
    jobs: Sequence[Job],
    *,
    batch_size: int | None = 1,
    workers: int | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> Iterator[Measured]:
    """The rows of each job, yielded as its sample is finished; in order but within a batch.

    `batch_size` samples go through the model together, as many as free memory allows when None;
    `workers` are threads that prepare samples ahead. `goes_on` is asked before each sample: when
    it is false, no more than its answer is measured.
    """
    throttle, shared = Throttle(checkpoint, batch_size), SharedImage(checkpoint)
    prepared = encoded_ahead(checkpoint, [job.sample for job in jobs], workers=workers)
    # Closed at once when the measuring is left early, so that no thread outlives it.
    with closing(prepared):
        waiting = zip(jobs, prepared, strict=True)
        while batch := list(islice(waiting, throttle.samples)):
            encoded: list[_Encoded] = []
            for job, sample in batch:
                if isinstance(sample, SampleError):
                    yield _unanswered(job, sample)
                else:
                    encoded.append((job, sample))
            for group in _same_shapes(encoded):
                yield from _measure_group(group, throttle, shared, goes_on)


def _measure_group(
    group: Sequence[_Encoded],
    throttle: Throttle,
    shared: SharedImage,
    goes_on: Callable[[], bool],
) -> Iterator[Measured]:
    """One batch through the model; halves of what is left of it when memory runs out."""
    shortages: list[str] = []
    donors = Donors(throttle.checkpoint, [job for job, _ in group])
    done = 0
    with noticing(shortages):
        with taking_inputs(throttle.checkpoint, group[0][1]):
            passes = _clean_passes(group, throttle.checkpoint, shared)
        throttle.learn(passes[0])
        for (job, sample), clean in zip(group, passes, strict=True):
            rows = sample_rows(throttle, job, sample, clean, donors, is_asked=goes_on())
            yield Measured(key=job.key, rows=rows)
            done += 1
    if not shortages:
        return
    passes = []  # What they hold is given back with the rest.
    donors.forget()
    shared.forget()
    give_back()
    if len(group) == 1:
        yield _unanswered(group[0][0], _too_large(group[0][1], shortages))
        return
    throttle.fewer_samples(len(group))
    left = group[done:]
    while left:
        several, left = left[: throttle.samples], left[throttle.samples :]
        yield from _measure_group(several, throttle, shared, goes_on)


def _clean_passes(
    group: Sequence[_Encoded], checkpoint: LoadedCheckpoint, shared: SharedImage
) -> list[CleanPass]:
    """Of several samples at once, or of one, which may go on from another about its image."""
    (job, sample), *others = group
    layers = checkpoint.decoder_layers
    keeps = {at for job, _ in group for want in job.wants for at in want.reads_entering(layers)}
    own = shared.clean_pass(sample, keeps) if job.shares_image and not others else None
    if own is not None:
        return [own]
    return clean_passes(checkpoint, [model_inputs(sample) for _, sample in group], keeps=keeps)


def _unanswered(job: Job, error: SampleError) -> Measured:
    return Measured(key=job.key, rows=unscored_rows(job.key, ANSWER_SCOPE, error))


def _too_large(encoded: EncodedSample, shortages: Sequence[str]) -> ResourceError:
    return ResourceError(
        f"memory for one sample of {len(encoded.offsets)} positions, got {shortages[-1]} (sample "
        f"{encoded.sample.question_id}); free memory or use a smaller --model-args=dtype=, then "
        "measure it again with --refresh",
        reason="out-of-memory",
    )


def _same_shapes(encoded: Sequence[_Encoded]) -> list[list[_Encoded]]:
    """Groups whose images can be stacked; text lengths may differ, the engine pads them.

    A sample that shares its image is a group of its own, so that how many samples go through the
    model at once moves none of its numbers.
    """
    groups: dict[tuple[object, ...], list[_Encoded]] = {}
    for job, sample in encoded:
        if job.shares_image:
            groups["alone", len(groups)] = [(job, sample)]
            continue
        # The first axis counts images, tiles or patches: samples may differ there.
        inputs = sample.model_inputs.items()
        shapes = tuple((name, value.shape[1:]) for name, value in inputs if name not in PER_TOKEN)
        groups.setdefault(shapes, []).append((job, sample))
    return list(groups.values())
