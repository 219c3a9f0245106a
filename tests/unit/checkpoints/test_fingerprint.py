from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
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


def index(folder: Path, *names: object, file: str = "model.safetensors.index.json") -> None:
    (folder / "model.safetensors").unlink()
    weight_map = {f"tensor.{number}": name for number, name in enumerate(names)}
    folder.joinpath(file).write_text(json.dumps({"weight_map": weight_map}))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# Every file that transformers reads beyond those at the top, and what makes it read them.
READ_ELSEWHERE: dict[str, Callable[[Path], object]] = {
    "below/part.safetensors": lambda f: index(f, "below/part.safetensors"),
    "below/part.bin": lambda f: index(f, "below/part.bin", file="pytorch_model.bin.index.json"),
    # Pickled weights count although safetensors of another name lie beside them.
    "pytorch_model.bin": lambda f: f.joinpath("model.safetensors").rename(f / "x.safetensors"),
    "below/other.safetensors": lambda f: f.joinpath("config.json").write_text(
        '{"transformers_weights": "below/other.safetensors"}'
    ),
    "additional_chat_templates/tools.jinja": lambda _: None,
    "qformer_tokenizer/tokenizer.json": lambda _: None,
}


@pytest.mark.parametrize("name", READ_ELSEWHERE)
def test_every_byte_that_is_loaded_from_elsewhere_counts(folder: Path, name: str) -> None:
    READ_ELSEWHERE[name](folder)
    write(folder / name, "weights")
    before = identity(folder)
    write(folder / name, "others!")
    assert identity(folder) != before


def test_a_link_to_weights_counts_by_what_it_leads_to(folder: Path, tmp_path: Path) -> None:
    plain = identity(folder)
    kept = tmp_path / "another disk" / "weights"
    write(kept, "weights")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(kept)
    assert identity(folder) == plain
    write(kept, "others!")
    assert identity(folder) != plain


def test_code_in_folders_below_counts_where_it_is_run(folder: Path) -> None:
    def trusted() -> str:
        return fingerprint(resolve_checkpoint(str(folder), trust_remote_code=True))

    write(folder / "code/model.py", "a = 1")
    trusting, plain = trusted(), identity(folder)
    write(folder / "code/model.py", "a = 2")
    assert trusted() != trusting
    assert identity(folder) == plain


def test_the_cache_of_the_hub_is_made_of_links(folder: Path, tmp_path: Path) -> None:
    plain = identity(folder)
    hub = tmp_path / "hub" / "models--owner--name"
    snapshot, blobs = hub / "snapshots" / "abc", hub / "blobs"
    snapshot.mkdir(parents=True)
    for name, text in FILES.items():
        write(blobs / f"hash-of-{name}", text)
        (snapshot / name).symlink_to(Path("../../blobs") / f"hash-of-{name}")
    assert identity(snapshot) == plain


def test_a_fingerprint_stays_what_stores_were_written_under(folder: Path) -> None:
    """A hash of names and contents in a fixed order, computed here without the package."""
    hashes = [
        f"{name}:{hashlib.sha256(FILES[name].encode()).hexdigest()}"
        for name in ("chat_template.jinja", "config.json", "tokenizer.json", "model.safetensors")
    ]
    assert identity(folder) == hashlib.sha256("\n".join(hashes).encode()).hexdigest()


@pytest.mark.parametrize(
    "name",
    ["../w.safetensors", "/etc/passwd", "a/../../w", "", ".", "a\0b", "C:\\w", 5, ["w"], None],
    ids=repr,
)
@pytest.mark.parametrize("file", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
def test_names_that_leave_the_folder_are_refused(folder: Path, name: object, file: str) -> None:
    index(folder, name, file=file)
    write(folder.parent / "w.safetensors", "weights")
    with pytest.raises(CheckpointError, match=r"names of files inside the checkpoint, got .*index"):
        identity(folder)


@pytest.mark.parametrize("content", ["[]", "{}", '{"weight_map": 5}', "[" * 100_000, "\udcff"])
def test_an_index_that_is_none_is_named(folder: Path, content: str) -> None:
    index(folder)
    path = folder / "model.safetensors.index.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"index\.json"):
        identity(folder)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def nowhere(path: Path) -> None:
    path.symlink_to("/nowhere/at/all")


def itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [pipe, device, nowhere, itself, Path.mkdir])
@pytest.mark.parametrize("name", [*FILES, "tokenizer_config.json", "pytorch_model.bin"])
def test_what_is_no_file_is_not_opened(
    folder: Path, name: str, make: Callable[[Path], object]
) -> None:
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    with pytest.raises(CheckpointError, match=name):
        identity(folder)


@pytest.mark.parametrize("name", ["config.json", "chat_template.jinja", "tokenizer.json"])
def test_links_out_of_the_folder_are_for_weights_alone(
    folder: Path, tmp_path: Path, name: str
) -> None:
    secret = tmp_path.parent / f"secret-{tmp_path.name}"
    write(secret, FILES[name])
    (folder / name).unlink()
    (folder / name).symlink_to(secret)
    with pytest.raises(CheckpointError, match=rf"got one to .*secret.*{name}"):
        identity(folder)
    # A link to a file of the folder is that file.
    (folder / name).unlink()
    write(folder / "kept", FILES[name])
    (folder / name).symlink_to("kept")
    identity(folder)


def test_a_file_beside_the_weights_has_a_size_that_it_can_have(folder: Path) -> None:
    with open(folder / "tokenizer.json", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CheckpointError, match=r"1048576 MB .*tokenizer\.json"):
        identity(folder)


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
