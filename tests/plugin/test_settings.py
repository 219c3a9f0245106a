"""Slugs and small parsers."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmflow_bench.checkpoints.settings import parse_model_args
from mmflow_bench.measurements.settings import (
    default_cache,
    parse_cache,
    parse_mechanisms,
    parse_tasks,
    parse_window,
)
from mmflow_bench.names import model_slugs, slug
from mmflow_bench.plugin.scheduling import measurement_key


def test_a_slug_has_no_character_that_test_ids_are_split_at():
    for model in ("org/llava-1.5-7b", "/tmp/a-b [c]@d", "./x::y", "..."):
        assert not set(slug(model)) & set("-[]@:/ ")


def test_two_folders_of_one_name_get_two_slugs():
    slugs = model_slugs(["/a/tuned", "/b/tuned", "/a/tuned"])
    assert len(slugs) == 2
    assert list(slugs.values()) == ["/a/tuned", "/b/tuned"]


@pytest.mark.parametrize("place", ["", "./", "/tmp/", "~nobody/", "org/"])
def test_a_slug_fits_into_the_name_of_a_folder_however_long_the_model_is_called(place):
    one, other = (place + "x" * 10_000 + end for end in "ab")
    assert len(slug(one)) < 120
    assert len(model_slugs([one, other])) == 2
    assert slug("x" * 100) == "x" * 100


@pytest.mark.parametrize("parse", [parse_tasks, parse_mechanisms])
@pytest.mark.parametrize("text", ["", " ,"])
def test_what_holds_no_name_is_refused_and_does_not_select_everything(parse, text):
    assert parse("Choose*, my[1]") == ("Choose*", "my[1]")
    with pytest.raises(ValueError, match=rf"--(tasks|mechanisms) takes names or.*got '{text}'"):
        parse(text)


def test_the_store_is_where_the_user_says(monkeypatch):
    monkeypatch.setenv("MMFLOW_CACHE", "/data/flows")
    assert default_cache() == Path("/data/flows")
    assert parse_cache("here") == Path("here")
    assert parse_cache("off") is None
    for nothing in ("", " "):
        with pytest.raises(ValueError, match="--mmflow-cache takes a folder or `off`, got"):
            parse_cache(nothing)


def test_pairs_and_windows_are_parsed():
    assert parse_model_args("revision=main, dtype=float32") == {
        "revision": "main",
        "dtype": "float32",
    }
    assert parse_window("9") == 9
    assert parse_window("auto") is None
    with pytest.raises(ValueError, match="odd"):
        parse_window("8")


@pytest.mark.parametrize(
    ("nodeid", "key"),
    [
        ("a.py::test_b[m_1-ChooseAttr]", "m_1/ChooseAttr"),
        ("a.py::test_b[m_1-9-ChooseAttr]", "m_1/ChooseAttr"),
        ("a.py::test_b[m_1]", "m_1/all"),
        ("a.py::TestX::test_b[m_1-own]", "m_1/own"),
        ("a.py::test_b[other-ChooseAttr]", None),
        ("a.py::test_b", None),
    ],
)
def test_a_test_id_names_its_measurement(nodeid, key):
    assert measurement_key(nodeid, frozenset({"m_1"})) == key
