"""What a release says of itself in several places is the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_licence():
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["title"] == PROJECT["name"]
    assert PROJECT["description"].startswith(CITATION["abstract"])
    assert {"cff-version", "message", "authors"} <= CITATION.keys()


def test_the_changelog_begins_with_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (newest, *_) = re.findall(r"^## (\S+) \((.+)\)$", changelog, re.MULTILINE)
    assert newest[0] == PROJECT["version"]
    assert newest[1] == "unreleased" or re.fullmatch(r"\d{4}-\d{2}-\d{2}", newest[1])
