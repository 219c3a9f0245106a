"""Samples decoded, resized and tokenized ahead of the model, in threads.

Decoding and resizing leave Python's lock, so threads keep an accelerator busy and need no copy of
anything but the processor (benchmarks/loading_ahead.py). Samples come out in order, and only so
many of them wait in memory.
"""

from __future__ import annotations

import copy
import os
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import SampleError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.samples import Sample

FEWEST = 8
"""Samples below which starting threads is not worth it."""
MOST_WORKERS = 4
_WAITING_PER_WORKER = 4


def spare_workers() -> int:
    """Threads that this process may add: its share of the cores, but for one that feeds the model.

    Workers of pytest-xdist share a machine.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    share = (cores or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return max(0, min(MOST_WORKERS, share - 1))


def encoded_ahead(
    checkpoint: LoadedCheckpoint, samples: Sequence[Sample], *, workers: int | None = None
) -> Generator[EncodedSample | SampleError, None, None]:
    """Every sample as the model takes it, or why it cannot be, in order.

    Args:
        checkpoint: Its processor is copied once per thread: tokenizers cannot be shared.
        samples: What to encode.
        workers: Threads; 0 encodes each sample when it is asked for, None chooses.

    Raises:
        CheckpointError: As `encode`, when the sample's turn comes.
    """
    if workers is None:
        workers = spare_workers() if len(samples) >= FEWEST else 0
    if not workers:
        yield from (_encoded(sample, checkpoint) for sample in samples)
        return
    own = threading.local()

    def task(sample: Sample) -> EncodedSample | SampleError:
        if not hasattr(own, "checkpoint"):
            processor = copy.deepcopy(checkpoint.processor)
            tokenizer = getattr(processor, "tokenizer", processor)
            own.checkpoint = replace(checkpoint, processor=processor, tokenizer=tokenizer)
        return _encoded(sample, own.checkpoint)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="mmflow-encode")
    waiting: deque[Future[EncodedSample | SampleError]] = deque()
    try:
        for sample in samples:
            waiting.append(pool.submit(task, sample))
            if len(waiting) > workers * _WAITING_PER_WORKER:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Also when the measuring is interrupted: what has not begun never does.
        pool.shutdown(wait=True, cancel_futures=True)


def _encoded(sample: Sample, checkpoint: LoadedCheckpoint) -> EncodedSample | SampleError:
    try:
        return encode(sample, checkpoint)
    except SampleError as error:
        return error
