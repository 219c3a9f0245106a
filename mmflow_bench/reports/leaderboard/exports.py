"""A checkpoint's results in the formats of others; written beside the pages, never uploaded.

Every Eval Ever: schema 0.3.0 (arXiv:2606.14516). Hugging Face: `.eval_results/*.yaml` of a model
repository (https://huggingface.co/docs/hub/eval-results), one number per task.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from mmflow_bench.reports.leaderboard.board import DECIDED, Entry, public
from mmflow_bench.runs.rows import ALL, MechanismRow, grouped

EEE_VERSION = "0.3.0"
LIBRARY = "mmflow-bench"
HUB_BENCHMARK = "mmflow-bench/mechanisms"
"""Stands for the data set of a registered benchmark; `--hub-benchmark` gives the real one."""

_UNWRITABLE = re.compile("[\x7f-\x9f\ud800-\udfff]")
"""What YAML takes as an escape only."""


def every_eval_ever(entry: Entry) -> dict[str, object]:
    """One record of the Every Eval Ever schema; mechanisms without an estimate have no score."""
    results = entry.record.results
    created = _seconds(results.created)
    packages = results.environment.get("packages")
    version = packages.get(LIBRARY) if isinstance(packages, dict) else None
    return {
        "schema_version": EEE_VERSION,
        "evaluation_id": f"{LIBRARY}/{entry.name}/{created}",
        "evaluation_timestamp": results.created,
        "retrieved_timestamp": created,
        "source_metadata": {
            "source_name": LIBRARY,
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": {"run_id": results.run_id, **_stamp(entry)},
        },
        "eval_library": {"name": LIBRARY, "version": str(version or "unknown")},
        "model_info": _model_info(entry),
        "evaluation_results": [
            _evaluation(entry, row) for row in entry.record.rows if row.estimate is not None
        ],
    }


def eval_results_yaml(entry: Entry, *, benchmark: str = HUB_BENCHMARK) -> str:
    """The content of `.eval_results/mmflow-bench.yaml`: percent of mechanisms that hold."""
    blocks = []
    asked = [row for row in entry.record.rows if row.verdict != "report"]
    tasks = {ALL: [*asked], **grouped(asked, lambda row: _task_id(row.section))}
    for task, rows in tasks.items():
        decided = [row for row in rows if row.verdict in DECIDED]
        if not decided:
            continue
        holding = sum(row.verdict == "holds" for row in decided)
        notes = f"{holding} of {len(decided)} decided mechanisms hold, {len(rows)} asked"
        if entry.record.results.incomplete:
            notes += f"; {entry.record.results.incomplete}"
        blocks.append(
            f"- dataset:\n    id: {_quoted(benchmark)}\n    task_id: {_quoted(task)}\n"
            f"  value: {round(100 * holding / len(decided), 2)}\n"
            f"  date: {_quoted(entry.record.results.created)}\n"
            f"  notes: {_quoted(notes)}\n"
        )
    # A file without a block would be null, where a list is expected.
    return "".join(blocks) or "[]\n"


def _stamp(entry: Entry) -> dict[str, str]:
    """What says of a run that it is not complete; nothing of one that is."""
    why = entry.record.results.incomplete
    return {"complete": "false", "incomplete": why} if why else {}


def _task_id(section: str) -> str:
    return "_".join(section.replace("'", "").split()) or "other"


def _model_info(entry: Entry) -> dict[str, object]:
    checkpoint = entry.record.results.checkpoint
    known = {
        "source": public(checkpoint.source),
        "revision": checkpoint.revision,
        "fingerprint": checkpoint.fingerprint,
        "family": checkpoint.family,
        "dtype": checkpoint.dtype,
        "decoder_layers": checkpoint.decoder_layers,
    }
    return {
        "name": entry.name,
        "id": entry.name,
        "additional_details": {
            "deployment_type": "self_deployed",
            "model_availability": "unknown",
            **{name: str(value) for name, value in known.items() if value not in (None, "")},
        },
    }


def _evaluation(entry: Entry, row: MechanismRow) -> dict[str, object]:
    results = entry.record.results
    name = f"{row.id}/{row.task}"
    said = {
        "verdict": row.verdict,
        "outcome": row.outcome,
        "threshold": row.threshold,
        "qualifier": row.qualifier,
        "estimate_of": row.name,
        "citation": row.citation,
    }
    uncertainty: dict[str, object] = {}
    if row.low is not None and row.high is not None:
        uncertainty["confidence_interval"] = {
            "lower": row.low,
            "upper": row.high,
            "confidence_level": 1 - entry.record.alpha,
            "method": "bootstrap over images",
        }
    if row.n is not None:
        uncertainty["num_samples"] = row.n
    return {
        "evaluation_result_id": name,
        "evaluation_name": name,
        "source_data": {
            "dataset_name": public(results.data.name),
            "source_type": "other",
            "additional_details": {"fingerprint": results.data.fingerprint},
        },
        "metric_config": {
            "evaluation_description": row.statement or row.id,
            "metric_id": f"mmflow.{row.id}",
            "metric_name": row.name or row.id,
            "metric_unit": row.unit or "unknown",
            # A mechanism is there or is not; no direction is better.
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": "-Infinity",
            "max_score": "Infinity",
        },
        "score_details": {
            "score": row.estimate,
            "details": {name: text for name, text in said.items() if text},
            "uncertainty": uncertainty,
        },
    }


def _seconds(created: str) -> str:
    """Unix time of an ISO 8601 time, as the schema wants it; the text itself if it is none."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return str(int(moment.timestamp()))


def _quoted(text: str) -> str:
    # A JSON string is a double-quoted YAML scalar.
    said = json.dumps(text, ensure_ascii=False)
    return _UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", said)
