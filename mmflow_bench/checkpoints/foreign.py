"""The boundary to what others wrote: checkpoint files, and the libraries that read them.

What transformers, torch, tokenizers, jinja, safetensors or gguf raise on a file that is damaged or
hostile is nobody's list. Whatever comes out of them becomes one error of the domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmflow_bench.errors import CheckpointError, MMFlowError

_LONGEST = 400
"""Characters of a library's message: the beginning says it, and some print whole files."""
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, as torch spells it on different devices."""
    if _is_of_accelerator(error) or isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in _NO_MEMORY
    )


def _is_of_accelerator(error: BaseException) -> bool:
    # By name: nothing here waits for torch.
    return type(error).__name__ == "OutOfMemoryError"


@contextmanager
def foreign(
    expected: str,
    where: str,
    advice: str,
    *,
    passing: Callable[[BaseException], bool] = _is_of_accelerator,
) -> Iterator[None]:
    """Turn every error of a library into `{expected}, got {error} ({where}); {advice}`.

    Errors of the domain pass as they are, and so do interrupts, exits and what `passing` says: by
    default that an accelerator has too little memory, which is no fault of a file.

    Raises:
        CheckpointError: Something else was raised within.
    """
    try:
        yield
    except MMFlowError:
        raise
    except BaseException as error:
        # A panic in Rust derives from BaseException, as interrupts and the outcomes of pytest do.
        is_error = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if not is_error or passing(error):
            raise
        message = " ".join(str(error).split())
        said = f"{type(error).__name__}: {message[:_LONGEST]}" if message else type(error).__name__
        raise CheckpointError(f"{expected}, got {said} ({where}); {advice}") from error
