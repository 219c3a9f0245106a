from __future__ import annotations

from pathlib import Path

import pytest

from mmflow_bench.checkpoints.fingerprint import fingerprint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError

FILES = {
    "config.json": "{}",
    "tokenizer.json": "{}",
    "chat_template.jinja": "",
    "model.safetensors": "weights",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        tmp_path.joinpath(name).write_text(text)
    return tmp_path


def identity(folder: Path, **args: str) -> str:
    return fingerprint(resolve_checkpoint(str(folder), model_args=args))


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_a_model_reads_counts(folder: Path, name: str) -> None:
    before = identity(folder)
    folder.joinpath(name).write_text("{ }")
    assert identity(folder) != before


def test_what_a_model_does_not_read_does_not_count(folder: Path) -> None:
    before = identity(folder)
    folder.joinpath("README.md").write_text("changed")
    folder.joinpath("trainer_state.json").write_text("{}")
    folder.joinpath("optimizer.pt").write_bytes(b"state")
    assert identity(folder) == before


def test_a_copy_of_a_folder_is_the_same_checkpoint(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in FILES:
        copy.joinpath(name).write_bytes(folder.joinpath(name).read_bytes())
    assert identity(copy) == identity(folder)


def test_another_template_is_another_checkpoint(folder: Path, tmp_path: Path) -> None:
    template = tmp_path / "own.txt.j2"
    template.write_text("{{ messages }}")
    plain, own = identity(folder, template="plain"), identity(folder, template=str(template))
    assert len({identity(folder), plain, own}) == 3
    template.write_text("{{ messages }}!")
    assert identity(folder, template=str(template)) != own


def test_only_the_chosen_gguf_file_counts(tmp_path: Path) -> None:
    tmp_path.joinpath("a.gguf").write_bytes(b"a")
    tmp_path.joinpath("b.gguf").write_bytes(b"b")
    first = identity(tmp_path, gguf_file="a.gguf")
    tmp_path.joinpath("b.gguf").write_bytes(b"changed")
    assert identity(tmp_path, gguf_file="a.gguf") == first
    assert identity(tmp_path, gguf_file="b.gguf") != first


def test_a_built_checkpoint_is_its_name_and_the_source_that_builds_it() -> None:
    base = fingerprint(resolve_checkpoint("planted/base"))
    assert base == fingerprint(resolve_checkpoint("planted/base"))
    assert base != fingerprint(resolve_checkpoint("planted/mini"))


def test_a_builder_that_is_not_installed_is_named() -> None:
    spec = CheckpointSpec(name="x", source="x", kind="built", builder="no_such_package.models:f")
    with pytest.raises(CheckpointError, match="no_such_package"):
        fingerprint(spec)


def test_a_hub_checkpoint_that_is_not_on_disk_says_so_offline() -> None:
    spec = resolve_checkpoint("nobody/nothing-here", offline=True)
    with pytest.raises(CheckpointError, match="on this machine, got none for 'nobody/nothing"):
        fingerprint(spec)
