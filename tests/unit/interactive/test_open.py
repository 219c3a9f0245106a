"""`mm.open`: options by the names of the command line, and whatever is wrong with them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from run_folders import write_made_up_run

import mmflow_bench as mm
from mmflow_bench.errors import CheckpointError, MMFlowError, SelectionError, StoreError
from mmflow_bench.interactive.settings import Options, _names, settings_from
from mmflow_bench.measurements.settings import default_cache


def test_every_option_is_one_of_the_command_line() -> None:
    fields = set(_names().values())
    # Short for a part of model_args.
    assert set(Options.__annotations__) - fields == {"dtype"}
    # Which checkpoint and which mechanisms are arguments of their own; fleets are of one command.
    fleets = {"shard", "engine", "address", "workers", "worker_cores"}
    assert fields - set(Options.__annotations__) == {"models", "mechanisms", *fleets}


def test_values_mean_what_their_texts_mean_on_the_command_line() -> None:
    found = settings_from(
        {"tasks": ["ChooseAttr", "Query*"], "limit": 0.5, "window": 9, "dtype": "float32",
         "model_args": {"revision": "main"}, "seed": 0, "follow": "reference", "cache": "off"}
    )  # fmt: skip
    measured = found.measurement
    assert measured.tasks == ("ChooseAttr", "Query*")
    assert (measured.limit, measured.window, measured.seed) == ("0.5", 9, 0)
    assert (str(measured.follow), measured.cache) == ("reference", None)
    assert found.checkpoint.model_args == {"revision": "main", "dtype": "float32"}
    assert settings_from({}).measurement.cache == default_cache()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"limitt": 3}, TypeError, "did you mean limit"),
        ({"limit": "many"}, ValueError, "got 'many'"),
        ({"limit": 0}, ValueError, "--limit takes"),
        ({"tasks": []}, ValueError, "--tasks takes names"),
        ({"window": 4}, ValueError, "an odd number"),
        ({"refresh": 1}, TypeError, "True or False for --refresh, got 1"),
        ({"follow": "nobody"}, ValueError, "--follow takes answer, reference"),
        ({"alpha": 2}, ValueError, "--alpha takes"),
        ({"refresh": True, "from_cache": True}, ValueError, "drop one"),
        ({"tasks": ["ChoseAttr"]}, SelectionError, "did you mean ChooseAttr"),
        ({"device": "gpu"}, ValueError, "did you mean"),
        ({"dtype": "float8"}, CheckpointError, "dtype among"),
        ({"processor": object()}, TypeError, "brings its own"),
    ],
)
def test_what_is_wrong_is_said(options: dict, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        mm.open("planted/mini", cache="off", **options)


def test_a_checkpoint_that_nobody_knows_is_said() -> None:
    with pytest.raises(CheckpointError, match="planted/bsae"):
        mm.open("planted/bsae", offline=True)


def test_no_processor_is_said() -> None:
    import torch

    with pytest.raises(CheckpointError, match="give `processor=`"):
        mm.open(torch.nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match="a transformers model, got Linear"):
        mm.open(torch.nn.Linear(1, 1), processor=object(), cache="off")
    with pytest.raises(TypeError, match="no option of loading with a model in memory, got dtype"):
        mm.open(torch.nn.Linear(1, 1), processor=object(), dtype="float32")


def test_importing_the_package_imports_neither_torch_nor_pandas() -> None:
    program = (
        "import sys, mmflow_bench as mm; mm.read; mm.compare; mm.open\n"
        "assert not {'torch', 'transformers', 'pandas', 'matplotlib', 'pytest'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_folder_without_a_run_is_said(tmp_path) -> None:
    with pytest.raises(StoreError, match="a run folder with results"):
        mm.read(tmp_path / "nothing")


def test_a_run_of_nobodys_is_read(tmp_path) -> None:
    write_made_up_run(tmp_path / "run")
    found = mm.read(tmp_path / "run")
    assert found.verdicts().counts.startswith("1 holds, 1 fails")
    assert [row.verdict for row in found.rows] == [
        "holds", "fails", "inconclusive", "not-applicable",
    ]  # fmt: skip
    edge, task = found.curves[0]
    assert found.flow(edge, task).peak.value < 0
    with pytest.raises(MMFlowError, match="a curve of the run"):
        found.flow("question -> last", "ChoseAttr")
