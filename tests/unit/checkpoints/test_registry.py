from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmflow_bench.checkpoints import additions
from mmflow_bench.checkpoints.registry import (
    RegistryEntry,
    registered_models,
    resolve_checkpoint,
)
from mmflow_bench.errors import CheckpointError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("config.json").write_text("{}")
    return tmp_path


class EntryPoint:
    value = "their_package:models"

    def __init__(self, given: object) -> None:
        self.given = given

    def load(self) -> object:
        return self.given


def register(monkeypatch: pytest.MonkeyPatch, given: object) -> None:
    monkeypatch.setattr(additions, "entry_points", lambda **_: [EntryPoint(given)])


def test_the_checkpoint_that_ships_is_registered_with_builder_and_questions() -> None:
    spec = resolve_checkpoint("planted/base")
    assert spec.kind == "built"
    assert spec.builder == "mmflow_bench.planted.models:build"
    assert spec.questions == "mmflow_bench.scenes.questions:scene_samples"


def test_an_unknown_name_is_answered_with_the_closest_and_the_list() -> None:
    with pytest.raises(CheckpointError, match=r"`mmflow ls models`.*did you mean planted/base or "):
        resolve_checkpoint("planted/bse")


@pytest.mark.parametrize("name", ["./tuned-lava", "{}/tuned-lava", "~/no/such/tuned-lava"])
def test_a_folder_that_is_not_there_is_answered_with_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tuned-llava").mkdir()
    with pytest.raises(CheckpointError, match=r"the folder of a checkpoint, got .*not there") as no:
        resolve_checkpoint(name.format(tmp_path))
    assert ("did you mean tuned-llava?" in str(no.value)) == (not name.startswith("~"))


def test_a_word_that_is_nothing_is_unknown() -> None:
    with pytest.raises(CheckpointError, match="got 'llava'"):
        resolve_checkpoint("llava")


def test_a_folder_with_a_configuration_is_a_checkpoint(folder: Path) -> None:
    spec = resolve_checkpoint(str(folder))
    assert (spec.kind, spec.source, spec.name) == ("folder", str(folder), str(folder))


def test_a_folder_that_holds_something_else_says_what_it_holds(tmp_path: Path) -> None:
    tmp_path.joinpath("notes.txt").write_text("")
    with pytest.raises(CheckpointError) as caught:
        resolve_checkpoint(str(tmp_path))
    assert "config.json" in str(caught.value)
    assert "got notes.txt" in str(caught.value)


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="an empty folder"):
        resolve_checkpoint(str(tmp_path))


def test_a_folder_that_is_not_there_is_not_taken_for_a_hub_id() -> None:
    with pytest.raises(CheckpointError, match=r"got '\./missing'"):
        resolve_checkpoint("./missing")


def test_a_folder_with_one_gguf_file_is_that_file(tmp_path: Path) -> None:
    tmp_path.joinpath("model.gguf").write_bytes(b"")
    assert resolve_checkpoint(str(tmp_path)).gguf_file == "model.gguf"
    by_file = resolve_checkpoint(str(tmp_path / "model.gguf"))
    assert (by_file.source, by_file.gguf_file) == (str(tmp_path), "model.gguf")


def test_several_gguf_files_need_a_choice(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        tmp_path.joinpath(name).write_bytes(b"")
    with pytest.raises(CheckpointError, match="gguf_file=NAME"):
        resolve_checkpoint(str(tmp_path))
    chosen = resolve_checkpoint(str(tmp_path), model_args={"gguf_file": "b.gguf"})
    assert chosen.gguf_file == "b.gguf"


def test_a_name_with_a_slash_is_a_hub_id() -> None:
    spec = resolve_checkpoint("llava-hf/llava-1.5-7b-hf", model_args={"revision": "main"})
    assert (spec.kind, spec.revision) == ("hub", "main")


@pytest.mark.parametrize(
    ("args", "words"),
    [({"dtpye": "float32"}, "closest is 'dtype'"), ({"dtype": "float3"}, "closest is 'float32'")],
)
def test_a_wrong_model_argument_is_refused_with_what_is_known(
    args: dict[str, str], words: str
) -> None:
    with pytest.raises(CheckpointError, match=words):
        resolve_checkpoint("planted/mini", model_args=args)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("planted/mini", {"revision": "main"}),
        ("planted/mini", {"attention": "eager"}),
        ("planted/mini", {"device_map": "auto"}),
        ("planted/mini", {"quantization": "int8"}),
        ("planted/mini", {"adapter": "/x"}),
        ("planted/mini", {"gguf_file": "x.gguf"}),
        ("planted/mini", {"conversation": "vicuna_v1"}),
        ("llava-1.5-7b", {"template": "plain"}),
        ("folder", {"revision": "main"}),
    ],
    ids=str,
)
def test_a_model_argument_that_a_checkpoint_has_no_use_for_is_refused(
    name: str, args: dict[str, str], folder: Path
) -> None:
    (key,) = args
    with pytest.raises(CheckpointError, match=f"no use for it; leave out {key}"):
        resolve_checkpoint(str(folder) if name == "folder" else name, model_args=args)


def test_model_arguments_reach_the_spec(folder: Path) -> None:
    spec = resolve_checkpoint(str(folder), model_args={"dtype": "bfloat16", "template": "plain"})
    assert (spec.dtype, spec.template) == ("bfloat16", "plain")
    assert spec.model_args == {"dtype": "bfloat16", "template": "plain"}


def test_other_packages_add_models(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    entry = RegistryEntry(
        name="theirs", description="", source=str(folder), exceptions={"q-last-drop": "fails"}
    )
    register(monkeypatch, lambda: [entry])
    assert registered_models()["theirs"] is entry
    spec = resolve_checkpoint("theirs")
    assert (spec.kind, spec.source, spec.name) == ("folder", str(folder), "theirs")
    assert spec.exceptions == {"q-last-drop": "fails"}


def test_another_package_that_registers_something_else_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(monkeypatch, ["no entry"])
    with pytest.raises(CheckpointError, match="their_package"):
        registered_models()


def test_the_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys, mmflow_bench.checkpoints.registry as r; r.registered_models();"
        "print([m for m in ('torch', 'transformers', 'numpy', 'PIL') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
