"""Two runs compared as a user names them: folders, and baselines of every kind."""

from __future__ import annotations

from pathlib import Path

from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_experiment import refuse_limited
from mmflow_bench.baselines.paired_records import BaselineComparison
from mmflow_bench.baselines.paired_values import read_values
from mmflow_bench.baselines.sources import refuse_incomplete, source_here
from mmflow_bench.baselines.verdict_level import compare_verdicts
from mmflow_bench.errors import BaselineError


def compared_runs(
    run_a: str,
    run_b: str,
    tolerance: dict[str, float],
    alpha: float,
    offline: bool,
    *,
    allow_incomplete: bool,
) -> BaselineComparison:
    """RUN_B against the run or baseline that RUN_A names.

    Raises:
        BaselineError: One of them is not there, is not complete, or holds no values of samples.
        NotComparable: They were different experiments.
    """
    source = source_here(run_a, offline=offline, allow_incomplete=allow_incomplete)
    tuned = read_values(Path(run_b))
    if not allow_incomplete:
        refuse_incomplete(Path(run_b), tuned.incomplete)
    if source.kind == "verdicts":
        return compare_verdicts(run_a, source.verdicts, tuned, alpha=alpha, source=source.origin)
    if source.folder is None:
        raise BaselineError(
            f"a run folder or a baseline, got {run_a!r}; a checkpoint is measured and compared by "
            "`pytest suites/ --model=... --baseline=...`"
        )
    base = read_values(source.folder)
    if source.is_blessed:
        refuse_limited(base, tuned)
    return compare_runs(base, tuned, tolerance=tolerance, alpha=alpha)
