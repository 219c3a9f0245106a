"""The options that the plugin adds to pytest; every `dest` starts with `mmflow_`."""

from __future__ import annotations

import pytest

from mmflow_bench.measurements.following import Followed

INI_KEYS = {
    "mmflow_model": "models of the run, comma-separated (as --model)",
    "mmflow_follow": "answer or reference (as --follow)",
    "mmflow_window": "width of a knocked-out window in layers, or auto",
    "mmflow_limit": "samples per task: 20, 0.1 or 10-20",
    "mmflow_alpha": "error rate of an interval",
    "mmflow_multiplicity": "none, holm or bh",
    "mmflow_inconclusive": "report or fail",
    "mmflow_baseline_missing": "fail, inconclusive or new",
    "mmflow_baseline": "what checkpoints are compared with (as --baseline)",
    "mmflow_tolerance": "how much may move before it is a change (as --tolerance)",
    "mmflow_gate": "strict, mechanisms, regression or none",
    "mmflow_report": "reports to write, of html, md, github and junit",
    "mmflow_baselines": "folder of the baselines, relative to the ini file",
    "mmflow_cache": "folder of the measurement store, or off",
    "mmflow_batch_size": "samples per clean pass, or auto",
    "mmflow_device": "device that checkpoints are loaded to, or auto",
    "mmflow_output": "folder that run folders are made in",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of section 4 of the design, and an ini key for each lasting choice."""
    group = parser.getgroup("mmflow", "information flow in vision-language models (mmflow-bench)")
    _add_model_options(group)
    _add_selection_options(group)
    _add_measuring_options(group)
    _add_verdict_options(group)
    _add_gate_options(group)
    for name, text in INI_KEYS.items():
        parser.addini(name, text, default=None)


def _add_model_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--model",
        action="append",
        dest="mmflow_model",
        metavar="NAME|PATH|HUB_ID",
        help="checkpoint to test; repeatable; write it with `=`. Default: $MMFLOW_MODEL, the ini "
        "key mmflow_model, or the checkpoint that ships with mmflow-bench.",
    )
    group.addoption(
        "--model-args",
        dest="mmflow_model_args",
        metavar="K=V,...",
        help="how the checkpoint is loaded, e.g. revision=main,dtype=bfloat16",
    )
    group.addoption(
        "--input",
        choices=("paper", "hub"),
        dest="mmflow_input",
        help="prepare samples as the paper's program does, or as the checkpoint's own processor "
        "does (default: paper for the checkpoints of the paper and the original format)",
    )
    group.addoption(
        "--patches",
        choices=("overlap", "painted"),
        dest="mmflow_patches",
        help="related patches are those that overlap a box (default), or those that the paper's "
        "program finds red after painting it",
    )
    group.addoption(
        "--mmflow-device",
        dest="mmflow_device",
        metavar="DEVICE",
        help="cpu, cuda, cuda:1 or auto (default: the accelerator when there is one)",
    )
    group.addoption(
        "--offline",
        action="store_true",
        dest="mmflow_offline",
        help="never ask a hub; what is not on disk is an error",
    )
    group.addoption(
        "--trust-remote-code",
        action="store_true",
        dest="mmflow_trust_remote_code",
        help="run Python code that a checkpoint brings along (off by default, recorded)",
    )


def _add_selection_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--tasks", dest="mmflow_tasks", metavar="GLOB,...", help="tasks to test, e.g. Choose*"
    )
    group.addoption(
        "--mechanisms",
        dest="mmflow_mechanisms",
        metavar="GLOB,...",
        help="mechanisms to test, by id, e.g. q-last-*; `mmflow ls mechanisms` lists them",
    )
    group.addoption(
        "--questions",
        dest="mmflow_questions",
        metavar="FILE|gqa",
        help="question file, folder or pattern (CSV, Parquet, JSON lines), or gqa for the paper's "
        "six sets, which ship with mmflow-bench (default: the checkpoint's own samples; gqa where "
        "--images is given)",
    )
    group.addoption(
        "--images",
        dest="mmflow_images",
        metavar="DIR|ZIP|hub",
        help="folder or zip file of the images, or hub[:OWNER/NAME] to stream GQA's",
    )
    group.addoption(
        "--limit",
        dest="mmflow_limit",
        metavar="N|0.1|A-B",
        help="samples per task: a number, a share or a range",
    )
    group.addoption(
        "--seed",
        type=int,
        dest="mmflow_seed",
        metavar="N",
        help="shuffle the samples before --limit cuts them (default: file order)",
    )
    group.addoption(
        "--window",
        dest="mmflow_window",
        metavar="auto|K",
        help="width of a knocked-out window in layers, odd (auto: 9/40 of the depth)",
    )


def _add_measuring_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--follow",
        choices=tuple(map(str, Followed)),
        dest="mmflow_follow",
        help="follow the model's own answer on samples that it gets right (answer, the default), "
        "or the reference answer on every sample",
    )
    group.addoption(
        "--batch-size",
        dest="mmflow_batch_size",
        metavar="N|auto",
        help="samples per clean pass; verdicts do not depend on it",
    )
    group.addoption(
        "--mmflow-cache",
        dest="mmflow_cache",
        metavar="DIR|off",
        help="folder of the measurement store (default: $MMFLOW_CACHE or the user's cache folder)",
    )
    group.addoption(
        "--from-cache",
        action="store_true",
        dest="mmflow_from_cache",
        help="read the store only and never load the checkpoint",
    )
    group.addoption(
        "--refresh",
        action="store_true",
        dest="mmflow_refresh",
        help="measure again what the store already has",
    )
    group.addoption(
        "--self-test",
        action="store_true",
        default=True,
        dest="mmflow_self_test",
        help="prove on loading that knockouts are exact on this checkpoint (default)",
    )
    group.addoption(
        "--no-self-test",
        action="store_false",
        dest="mmflow_self_test",
        help="skip that proof",
    )
    group.addoption(
        "--twins",
        action="store_true",
        default=True,
        dest="mmflow_twins",
        help="check verdicts by the counterfactual and the unnormalised method (default)",
    )
    group.addoption(
        "--no-twins",
        action="store_false",
        dest="mmflow_twins",
        help="skip these checks, which measure a third of the samples twice more",
    )


def _add_verdict_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--alpha",
        type=float,
        dest="mmflow_alpha",
        metavar="A",
        help="error rate of every interval (default 0.05: 95%% intervals)",
    )
    group.addoption(
        "--multiplicity",
        choices=("none", "holm", "bh"),
        dest="mmflow_multiplicity",
        help="mark verdicts that do not survive this correction over the run (default none)",
    )
    group.addoption(
        "--inconclusive",
        choices=("report", "fail"),
        dest="mmflow_inconclusive",
        help="whether an inconclusive mechanism fails the run (default report)",
    )
    group.addoption(
        "--baseline-missing",
        choices=("fail", "inconclusive", "new"),
        dest="mmflow_baseline_missing",
        help="what a mechanism without a stored baseline is (default new: not compared)",
    )
    group.addoption(
        "--mmflow-output",
        dest="mmflow_output",
        metavar="DIR",
        help="where the run folder is made (default .mmflow/runs)",
    )


def _add_gate_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--baseline",
        dest="mmflow_baseline",
        metavar="BASE",
        help="compare with this, sample by sample: a checkpoint (measured too), a run folder, a "
        "name or folder of baselines, hub:OWNER/NAME, or paper/MODEL",
    )
    group.addoption(
        "--tolerance",
        dest="mmflow_tolerance",
        metavar="SPEC",
        help="how much may move before it is a change: 0.1, 10%% or "
        "effect=0.1,probability=0.1,depth=0.1,accuracy=0.05 (the default)",
    )
    group.addoption(
        "--gate",
        choices=("strict", "mechanisms", "regression", "none"),
        dest="mmflow_gate",
        help="what may fail the run: mechanisms that fail, changes against the baseline, both and "
        "everything undecided (strict), or nothing (default regression with --baseline, else "
        "mechanisms)",
    )
    group.addoption(
        "--report",
        dest="mmflow_report",
        metavar="html,md,github,junit",
        help="write report.html, summary.md or junit.xml into the run folder; github also fills "
        "the step summary and annotates",
    )
