"""What was read is not read again, until a file of it is another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.store import store as module
from mmflow_bench.store.held import Held, file_state
from mmflow_bench.store.store import Store

SHARD = Sweep.of("image->question", width=9).shard


def rows(sample: str) -> list[dict[str, object]]:
    return [{"sample": sample, "layer": 0, "knockout_probability": 0.5}]


def test_a_shard_is_read_again_only_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = (Store(tmp_path, {"checkpoint": "a"}) for _ in range(2))
    store.append({SHARD: rows("a")}, sample="a")
    looks: list[Path] = []
    plain = module.read_rows
    monkeypatch.setattr(
        module, "read_rows", lambda path, *of, **how: looks.append(path) or plain(path, *of, **how)
    )
    first = store.read(SHARD)
    assert store.read(SHARD) is first
    assert len(looks) == 1
    other.append({SHARD: rows("b")}, sample="b")
    assert store.read(SHARD)["sample"].to_pylist() == ["a", "b"]
    assert store.finished(SHARD) == {"a", "b"}
    other.compact([SHARD])
    assert store.read(SHARD)["sample"].to_pylist() == ["a", "b"]
    other.clear()
    assert store.read(SHARD).num_rows == 0
    assert store.finished(SHARD) == frozenset()


def test_facts_are_those_that_were_remembered_last(tmp_path: Path) -> None:
    store, other = (Store(tmp_path, {"checkpoint": "a"}) for _ in range(2))
    assert store.facts() == {}
    for layers in (40, 32):
        other.remember({"decoder_layers": layers})
        assert store.facts() == {"decoder_layers": layers}


def test_what_is_replaced_has_another_state(tmp_path: Path) -> None:
    file, new = tmp_path / "a", tmp_path / "b"
    file.write_text("same length")
    before = file_state([file])
    assert file_state([file]) == before
    new.write_text("same length")
    new.replace(file)
    assert file_state([file]) != before


def test_no_more_is_held_than_there_is_room_for() -> None:
    held, read = Held(room=10), []

    def ask(name: str, size: int) -> None:
        held.get(name, (), lambda: read.append(name), lambda _: size)

    for name in ("a", "b", "a", "c", "a", "b"):
        ask(name, 4)
    # Two fit: "b" had to go for "c", since "a" was used after it.
    assert read == ["a", "b", "c", "b"]
    ask("large", 11)
    ask("large", 11)
    assert read[4:] == ["large", "large"]
