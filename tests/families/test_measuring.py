"""Many samples of many shapes: batches, threads and shortages of memory change no number."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import pytest
import torch

from mmflow_bench.errors import CheckpointError, ImageError
from mmflow_bench.interventions.knockout import Edge, Method
from mmflow_bench.interventions.suffixes import MOST_POSITIONS
from mmflow_bench.measurements import ahead, donors, measuring, memory
from mmflow_bench.measurements.ahead import encoded_ahead
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.memory import Throttle, is_out_of_memory
from mmflow_bench.measurements.wants import UNSCORED

QUESTIONS = (
    "What color is the cup, red or blue?",
    "Is the cup on the big table red or is it blue?",
)
SIZES = ((90, 60), (60, 90), (90, 61), (50, 50))


def _jobs(photo_sample, count=5):
    sweeps = tuple(
        Sweep(edge=Edge.parse(edge), method=method, width=1)
        for edge, method in (
            ("image->question", Method.MASKED),
            ("question->last", Method.MASKED),
            ("image->question", Method.COUNTERFACTUAL),
        )
    )
    wants = (*sweeps, Lens(probe="answer", variant="raw"))
    samples = [
        photo_sample(*SIZES[number % 4], seed=number, question=QUESTIONS[number % 2])
        for number in range(count)
    ]
    return [
        Job(
            sample=sample,
            key=str(number),
            wants=wants,
            keep_incorrect=True,
            donor=samples[(number + 1) % count],
            donor_key=str((number + 1) % count),
        )
        for number, sample in enumerate(samples)
    ]


def _numbers(measured):
    """Sample -> every number that was measured of it; nothing is lost or doubled."""
    found = {}
    for one in measured:
        assert one.key not in found
        found[one.key] = {
            (shard.name, index, name): value
            for shard, rows in one.rows.items()
            for index, row in enumerate(rows)
            for name, value in row.items()
        }
    return found


def _assert_same(got, expected):
    assert set(got) == set(expected)
    for key, values in expected.items():
        assert set(got[key]) == set(values)
        for name, value in values.items():
            if isinstance(value, float) and name[2] != "noise":
                assert got[key][name] == pytest.approx(value, rel=1e-5, abs=1e-9), name
            elif name[2] != "noise":
                assert got[key][name] == value


@pytest.mark.parametrize("family", ["idefics3", "internvl", "llava_next", "qwen2_vl"])
def test_samples_of_other_shapes_may_share_a_batch(family_checkpoint, photo_sample, family):
    checkpoint = family_checkpoint(family)
    jobs = _jobs(photo_sample)
    alone = _numbers(measure(checkpoint, jobs, batch_size=1))
    assert len(alone) == len(jobs)
    for batch_size in (3, 5, None):
        _assert_same(_numbers(measure(checkpoint, jobs, batch_size=batch_size)), alone)


def test_donors_share_a_pass_and_one_that_cannot_be_read_spoils_no_other(
    family_checkpoint, photo_sample, monkeypatch
):
    sizes, plain, encoded = [], donors.clean_passes, donors.Donors._encoded

    def clean_passes(checkpoint, batch):
        sizes.append(len(batch))
        return plain(checkpoint, batch)

    def encode(self, job):
        if job.key == "2":
            raise ImageError("an image, got none", reason="missing-image")
        return encoded(self, job)

    monkeypatch.setattr(donors, "clean_passes", clean_passes)
    monkeypatch.setattr(donors.Donors, "_encoded", encode)
    jobs = _jobs(photo_sample, 4)
    (want,) = (one for one in jobs[0].wants if getattr(one, "method", "") == "counterfactual")
    found = {
        one.key: one.rows for one in measure(family_checkpoint("internvl"), jobs, batch_size=4)
    }
    assert sizes == [3]
    assert [key for key, rows in found.items() if want.shard in rows] == ["0", "1", "3"]
    assert [row["reason"] for row in found["2"][UNSCORED]] == ["missing-image"]
    assert len({len(rows) for key, rows in found.items() if key != "2"}) == 1


def test_batches_are_as_large_as_asked_for(family_checkpoint, photo_sample, monkeypatch):
    """Tiles and patches are counted along the first axis, so InternVL's photos share a pass."""
    sizes = _recorded_batches(monkeypatch)
    jobs = _jobs(photo_sample, 6)
    list(measure(family_checkpoint("internvl"), jobs, batch_size=3))
    assert [size for size in sizes if size] == [3, 3]


def _recorded_batches(monkeypatch):
    sizes = []
    plain = measuring.clean_passes

    def clean_passes(checkpoint, batch, **how):
        sizes.append(len(batch))
        return plain(checkpoint, batch, **how)

    monkeypatch.setattr(measuring, "clean_passes", clean_passes)
    return sizes


class TestBatchSize:
    def test_grows_with_free_memory(self, family_checkpoint, photo_sample, monkeypatch):
        checkpoint = family_checkpoint("internvl")
        chosen = []
        for free in (10**4, 15 * 10**5, 10**12):
            sizes = _recorded_batches(monkeypatch)
            monkeypatch.setattr(memory, "free_memory", lambda _, n=free: n)
            list(measure(checkpoint, _jobs(photo_sample, 9), batch_size=None))
            assert sizes[0] == 1, "one sample is measured before memory is divided"
            chosen.append(max(sizes[1:]))
        assert chosen[0] == 1
        assert chosen[0] < chosen[1] < chosen[2] == 8

    def test_what_is_asked_for_is_not_second_guessed(self, family_checkpoint):
        throttle = Throttle(family_checkpoint("internvl"), 7)
        assert (throttle.samples, throttle.positions) == (7, MOST_POSITIONS)

    def test_free_memory_is_read(self):
        assert 2**20 < memory.free_memory(torch.device("cpu")) < 2**50


def _failing(plain, fails, error):
    """`plain` that raises where `fails` says so."""

    def run(*arguments, **keywords):
        if fails(*arguments, **keywords):
            raise error
        return plain(*arguments, **keywords)

    return run


ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
)


class TestShortage:
    @pytest.mark.parametrize("error", ERRORS)
    def test_of_clean_passes_halves_the_batch(
        self, family_checkpoint, photo_sample, monkeypatch, caplog, error
    ):
        checkpoint, jobs = family_checkpoint("internvl"), _jobs(photo_sample, 7)
        expected = _numbers(measure(checkpoint, jobs))
        sizes = _recorded_batches(monkeypatch)
        fails = _failing(measuring.clean_passes, lambda _, batch, **__: len(batch) > 3, error)
        monkeypatch.setattr(measuring, "clean_passes", fails)
        with caplog.at_level(logging.WARNING):
            got = _numbers(measure(checkpoint, jobs, batch_size=6))
        _assert_same(got, expected)
        assert max(sizes) == 3
        assert len(caplog.records) == 1, "said once"
        assert "which changes no result" in caplog.text

    @pytest.mark.parametrize("error", ERRORS)
    def test_of_knockouts_makes_their_passes_smaller(
        self, family_checkpoint, photo_sample, monkeypatch, error
    ):
        checkpoint, jobs = family_checkpoint("internvl"), _jobs(photo_sample, 3)
        expected = _numbers(measure(checkpoint, jobs))
        tried = []

        def fails(*_, max_positions, **__):
            tried.append(max_positions)
            return max_positions > 100

        monkeypatch.setattr(
            memory, "knockout_logits", _failing(memory.knockout_logits, fails, error)
        )
        _assert_same(_numbers(measure(checkpoint, jobs, batch_size=3)), expected)
        assert tried[0] == MOST_POSITIONS
        assert 20 <= tried[-1] <= 100, "what has been learned is kept"

    def test_of_a_sample_alone_is_counted_and_costs_no_other(
        self, family_checkpoint, photo_sample, monkeypatch
    ):
        checkpoint, jobs = family_checkpoint("internvl"), _jobs(photo_sample, 5)
        expected = _numbers(measure(checkpoint, jobs))
        longest = max(len(job.sample.question) for job in jobs)
        monkeypatch.setattr(
            memory,
            "knockout_logits",
            _failing(
                memory.knockout_logits,
                lambda _, clean, *__, **___: clean.length == _length(checkpoint, jobs[1]),
                ERRORS[0],
            ),
        )
        measured = list(measure(checkpoint, jobs, batch_size=5))
        refused = [one for one in measured if UNSCORED in one.rows]
        assert longest == len(jobs[1].sample.question)
        assert {row["reason"] for one in refused for row in one.rows[UNSCORED]} == {"out-of-memory"}
        assert "memory for one sample" in refused[0].rows[UNSCORED][0]["message"]
        kept = _numbers(one for one in measured if one not in refused)
        assert kept
        _assert_same(kept, {key: expected[key] for key in kept})
        assert len(kept) + len(refused) == len(jobs)

    def test_is_told_from_other_errors(self, family_checkpoint, photo_sample, monkeypatch):
        assert all(map(is_out_of_memory, ERRORS))
        wrong = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        assert not is_out_of_memory(wrong)
        monkeypatch.setattr(
            measuring,
            "clean_passes",
            _failing(measuring.clean_passes, lambda *_, **__: True, wrong),
        )
        with pytest.raises(CheckpointError, match="mat1 and mat2"):
            list(measure(family_checkpoint("internvl"), _jobs(photo_sample, 2)))


def _length(checkpoint, job):
    (encoded,) = encoded_ahead(checkpoint, [job.sample], workers=0)
    return len(encoded.offsets)


class TestAhead:
    def test_threads_change_neither_order_nor_numbers(self, family_checkpoint, photo_sample):
        checkpoint, jobs = family_checkpoint("qwen2_vl"), _jobs(photo_sample, 12)
        expected = _numbers(measure(checkpoint, jobs, workers=0))
        _assert_same(_numbers(measure(checkpoint, jobs, workers=3)), expected)
        assert list(expected) == [job.key for job in jobs]

    def test_one_sample_that_fails_stays_that_sample(self, family_checkpoint, photo_sample):
        jobs = _jobs(photo_sample, 9)
        jobs[4] = replace(jobs[4], sample=replace(jobs[4].sample, image=None))
        measured = list(measure(family_checkpoint("qwen2_vl"), jobs, workers=2))
        reasons = {
            one.key: row["reason"]
            for one in measured
            for row in one.rows.get(UNSCORED, ())
            if row["scope"] == "answer"
        }
        assert reasons == {"4": "missing-image"}
        assert len(measured) == 9

    def test_errors_of_the_checkpoint_stop_the_run(
        self, family_checkpoint, photo_sample, monkeypatch
    ):
        def broken(*_, **__):
            raise CheckpointError("no template")

        monkeypatch.setattr(ahead, "encode", broken)
        with pytest.raises(CheckpointError, match="no template"):
            list(measure(family_checkpoint("qwen2_vl"), _jobs(photo_sample, 9), workers=2))
        assert not _encoding_threads()

    def test_only_so_many_wait_and_none_after_the_end(
        self, family_checkpoint, photo_sample, monkeypatch
    ):
        """Leaving early, as Ctrl-C does, begins nothing more and leaves no thread behind."""
        begun = []
        plain = ahead.encode

        def encode(sample, checkpoint):
            begun.append(sample.question_id)
            return plain(sample, checkpoint)

        monkeypatch.setattr(ahead, "encode", encode)
        measured = measure(family_checkpoint("qwen2_vl"), _jobs(photo_sample, 60), workers=2)
        next(measured)
        assert _encoding_threads()
        measured.close()
        assert not _encoding_threads()
        assert len(begun) <= 10

    def test_few_samples_need_no_threads(self, family_checkpoint, photo_sample):
        samples = [job.sample for job in _jobs(photo_sample, ahead.FEWEST - 1)]
        waiting = encoded_ahead(family_checkpoint("qwen2_vl"), samples)
        next(waiting)
        assert not _encoding_threads()

    def test_workers_of_a_test_run_share_the_cores(self, monkeypatch):
        monkeypatch.setattr(ahead.os, "sched_getaffinity", lambda _: set(range(8)))
        monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
        assert ahead.spare_workers() == 4
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
        assert ahead.spare_workers() == 1
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "8")
        assert ahead.spare_workers() == 0


def _encoding_threads():
    return [thread for thread in threading.enumerate() if "mmflow-encode" in thread.name]
