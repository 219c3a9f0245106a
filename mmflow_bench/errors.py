"""One exception class per stage, so that a message always says which stage refused.

Every message reads: what was expected, in domain words, `got` what came, where (sample, checkpoint
or role), and what to do. Errors that concern one sample carry a `reason`: the short, stable word
under which the sample is counted as unscored.
"""

_LONGEST = 4000
"""Characters of a message: what came may be a name of ten megabytes."""


class MMFlowError(ValueError):
    """A state of the domain that makes a measurement impossible or meaningless."""

    def __str__(self) -> str:
        """The message, without the middle of one that nobody could read."""
        said = super().__str__()
        # What was expected stands first, what to do last.
        head, tail = said[: _LONGEST // 2], said[-_LONGEST // 2 :]
        return said if len(said) <= _LONGEST else f"{head} … {tail}"


class CheckpointError(MMFlowError):
    """A checkpoint cannot be found, read or instrumented."""


class KnockoutError(MMFlowError):
    """A knockout that would measure something else than what it says."""


class StoreError(MMFlowError):
    """The measurement store cannot be read or written."""


class NotStoredError(StoreError):
    """Only the store may be read, and it lacks something that is asked for."""


class BaselineError(MMFlowError):
    """A baseline is missing, unreadable or of another experiment."""


class MechanismError(MMFlowError):
    """A mechanism is declared or asked for in a way that cannot be measured."""


class NoComparison(MechanismError):
    """A test of `flow` has ended without comparing an estimate, so no interval has decided it."""


class EngineError(MMFlowError):
    """Measuring cannot be spread over workers: there are none, or they cannot start."""


class SelectionError(MMFlowError):
    """A name, a pattern or a limit that was asked for selects nothing."""


class CampaignError(MMFlowError):
    """The file of a campaign cannot be read, or asks for what no run does."""


class SampleError(MMFlowError):
    """One sample cannot be measured; it is counted as unscored under `reason`."""

    def __init__(self, message: str, *, reason: str) -> None:
        """Keep the message for a reader and the reason for the count."""
        super().__init__(message)
        self.reason = reason


class QuestionError(SampleError):
    """A row of a question file is incomplete or contradicts itself."""


class ImageError(SampleError):
    """An image is missing, unreadable or unsafe to open."""


class PositionError(SampleError):
    """A role of a sample has no unambiguous token positions."""


class AnswerError(SampleError):
    """The answer of a sample cannot be followed through the vocabulary."""


class ResourceError(SampleError):
    """A sample needs more memory than there is."""


NOT_FINITE = "not-finite"
"""Why a sample is unscored whose numbers are none."""


class NotFiniteError(SampleError):
    """The model's numbers for a sample overflow: NaN, or infinite."""

    def __init__(self, where: str) -> None:
        """Say where a finite number was expected."""
        super().__init__(
            f"finite logits, got NaN or infinity ({where}); activations overflow in half "
            "precision, or the weights hold no numbers: look at the weights, or load them with "
            "--model-args=dtype=bfloat16 or float32",
            reason=NOT_FINITE,
        )
