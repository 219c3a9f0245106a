"""What libraries raise on foreign files becomes one error; what is no error of theirs passes."""

from __future__ import annotations

import struct

import pytest
import torch

from mmflow_bench.checkpoints.foreign import foreign, is_out_of_memory
from mmflow_bench.errors import CheckpointError, SampleError


class PanicException(BaseException):
    """As pyo3 names and derives what Rust code panics with."""


def raised(error: BaseException, **options) -> None:
    with foreign("a whole file", "checkpoint x", "fetch it again", **options):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        RecursionError("too deep"),
        OverflowError("too large"),
        ZeroDivisionError("by zero"),
        AssertionError(),
        MemoryError(),
        struct.error("unpack"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        UserWarning("a warning that is an error"),
        StopIteration(),
        ExceptionGroup("several", [ValueError("one")]),
        PanicException("index out of bounds"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_of_a_library_is_one_of_the_domain(error: BaseException) -> None:
    with pytest.raises(CheckpointError) as found:
        raised(error)
    assert type(error).__name__ in str(found.value)
    assert str(found.value).startswith("a whole file, got ")
    assert str(found.value).endswith("(checkpoint x); fetch it again")
    assert found.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(3),
        GeneratorExit(),
        torch.OutOfMemoryError("no room on the accelerator"),
        SampleError("one sample", reason="too-long"),
        CheckpointError("said already"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_fault_of_a_file_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as found:
        raised(error)
    assert found.value is error


def test_a_caller_may_let_more_pass() -> None:
    with pytest.raises(MemoryError):
        raised(MemoryError(), passing=is_out_of_memory)


def test_a_message_is_one_line_of_bounded_length() -> None:
    with pytest.raises(CheckpointError) as found:
        raised(ValueError("a\nb " * 5000))
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 600
