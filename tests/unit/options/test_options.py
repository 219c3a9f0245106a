"""One record of an option: everything else follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from mmflow_bench.checkpoints.settings import CheckpointSettings
from mmflow_bench.cli.main import imported
from mmflow_bench.cli.options import Asked
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.options import (
    Option,
    Place,
    arguments_of,
    comma_separated,
    described,
    nested,
    options_of,
    setting,
    settings_of,
)
from mmflow_bench.plugin.settings import Settings

PLACES = {
    str(place.name).lower().replace("_", "-"): place for place in Place if place not in Place.RUN
}


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int | None = setting(None, "how deep", number=int, unset="auto")
    hidden: bool = setting(False, "unsaid", places=Place.PYTEST)


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = nested(Inner)
    two_words: tuple[str, ...] = setting((), "names", parse=comma_separated)
    place: Path | None = setting(
        None, "where", flag="--mmflow-place", locate=lambda text, folder: folder / text
    )
    counted: int = 0


def test_an_option_is_named_after_its_field_unless_it_says_otherwise() -> None:
    assert [(o.flag, o.key) for o in options_of(Outer)] == [
        ("--depth", "mmflow_depth"),
        ("--hidden", "mmflow_hidden"),
        ("--two-words", "mmflow_two_words"),
        ("--mmflow-place", "mmflow_place"),
    ]


def test_settings_are_what_was_said_and_defaults_elsewhere() -> None:
    said = {"mmflow_depth": "3", "mmflow_two_words": "a, b", "mmflow_place": "here"}

    def value_of(option: Option[object]) -> object | None:
        text = said.get(option.key)
        return None if text is None else option.value_of(text, Path("/data"))

    chosen = settings_of(Outer, value_of)
    assert chosen == Outer(
        inner=Inner(depth=3), two_words=("a", "b"), place=Path("/data/here"), counted=0
    )
    assert settings_of(Outer, lambda _: None) == Outer()


def test_results_say_what_was_chosen_as_json_values() -> None:
    assert described(Outer()) == {"depth": "auto", "two_words": [], "place": None}
    chosen = Outer(inner=Inner(depth=2, hidden=True), two_words=("a",), place=Path("/x"))
    assert described(chosen) == {"depth": 2, "two_words": ["a"], "place": "/x"}


def test_no_two_options_share_a_flag_or_a_key() -> None:
    options = list(options_of(Settings))
    assert len({o.flag for o in options}) == len({o.key for o in options}) == len(options)
    assert all(o.help and o.key.startswith("mmflow_") for o in options)


def test_results_describe_a_run_in_these_words() -> None:
    assert Settings().described() == {
        "window": "auto",
        "limit": None,
        "seed": None,
        "tasks": [],
        "mechanisms": [],
        "suite": "core",
        "questions": None,
        "images": None,
        "batch_size": "auto",
        "device": "auto",
        "alpha": 0.05,
        "multiplicity": "none",
        "stat": "bootstrap",
        "inconclusive": "report",
        "baseline_missing": "new",
        "baseline": None,
        "tolerance": {"fraction": 0.1, "probability": 0.1, "depth": 0.1, "accuracy": 0.05},
        "gate": "mechanisms",
        "decided": 0.8,
        "model_args": {},
        "input": "auto",
        "patches": "overlap",
        "compat": "careful",
        "follow": "answer",
        "self_test": True,
        "from_cache": False,
        "twins": True,
    }


@pytest.mark.parametrize("command", sorted(PLACES))
def test_a_command_offers_the_options_that_name_it(command: str) -> None:
    offered = {o.key for o in options_of(Settings) if PLACES[command] in o.places}
    given = {parameter.name for parameter in imported(command).params}
    assert offered == {name for name in given if name.startswith("mmflow_")}
    assert {"mmflow_model", "mmflow_device"} <= offered


def test_settings_that_are_written_as_arguments_are_read_as_the_same_settings(
    tmp_path: Path,
) -> None:
    (tmp_path / "42.jpg").touch()
    chosen = Asked(
        checkpoint=CheckpointSettings(
            models=("a/b, c",), model_args={"revision": "main", "dtype": "float16"}, offline=True
        ),
        measurement=MeasurementSettings(
            tasks=("Choose*", "own"),
            images=tmp_path,
            window=9,
            twins=False,
            follow=Followed.REFERENCE,
        ),
    )
    given = list(arguments_of(chosen))
    assert "--no-twins" in given
    assert "--follow=reference" in given
    assert not any("limit" in one or "None" in one for one in given)
    texts = dict(one.partition("=")[::2] for one in given)

    def value_of(option: Option[object]) -> object | None:
        if option.off_flag in texts or (option.flag in texts and option.is_flag):
            return option.flag in texts
        text = texts.get(option.flag)
        if text is None:
            return None
        return (text,) if option.is_repeated else option.value_of(text, Path())

    assert settings_of(Asked, value_of) == chosen
    assert list(arguments_of(Asked())) == []
