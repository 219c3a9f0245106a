"""`mmflow run` builds a pytest command line."""

from __future__ import annotations

import os

import pytest

import mmflow_bench.mechanisms.declared as declared_module
from mmflow_bench.cli.run import joined_values, pytest_arguments
from mmflow_bench.options import Place, options_of
from mmflow_bench.plugin.settings import Settings


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "test_sec5.py").write_text("")
    return tmp_path


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with suites inside, and a folder of the user's elsewhere."""
    package = tmp_path / "site-packages" / "mmflow_bench"
    (package / "suites").mkdir(parents=True)
    (package / "suites" / "test_sec5.py").write_text("")
    monkeypatch.setattr(declared_module, "__file__", str(package / "mechanisms" / "declared.py"))
    folder = tmp_path / "project"
    folder.mkdir()
    return folder, package / "suites"


def test_values_are_joined_so_that_pytest_takes_none_for_a_path():
    arguments = ["--model", "a/b", "-n", "2", "--limit=3", "--tasks", "--offline"]
    assert joined_values(arguments) == [
        *("--model=a/b", "-n", "2", "--limit=3", "--tasks", "--offline"),
    ]


def test_a_checkout_runs_its_own_suites(checkout):
    assert pytest_arguments(["--model", "x"], checkout) == ["suites", "--model=x"]


def test_a_path_of_ones_own_replaces_the_suites(checkout):
    given = ["suites/test_sec5.py::test_a", "-x"]
    assert pytest_arguments(given, checkout) == given


def test_an_installed_package_runs_the_suites_it_carries(installed):
    folder, suites = installed
    assert pytest_arguments(["-q"], folder) == [
        str(suites),
        f"--rootdir={folder}",
        f"--config-file={os.devnull}",
        "--import-mode=importlib",
        "-q",
    ]


def test_the_settings_of_the_users_project_are_kept(installed):
    folder, _ = installed
    pyproject = folder / "pyproject.toml"
    pyproject.write_text("[project]\nname = 'x'\n")
    assert f"--config-file={os.devnull}" in pytest_arguments([], folder)
    pyproject.write_text("[tool.pytest.ini_options]\nmmflow_alpha = 0.01\n")
    assert f"--config-file={pyproject}" in pytest_arguments([], folder)


def test_every_option_with_a_value_is_known_to_the_command():
    taken = {o.flag for o in options_of(Settings) if Place.PYTEST in o.places and not o.is_flag}
    assert {"--model", "--limit", "--mmflow-cache"} <= taken <= run_module.valued_options()
    flags = {o.flag for o in options_of(Settings) if o.is_flag}
    assert not flags & run_module.valued_options()


def test_values_of_pytests_own_options_are_no_test_paths(checkout):
    (checkout / "junit.xml").write_text("")
    given = ["--junit-xml", "junit.xml", "--last-failed", "-x"]
    expected = ["suites", "--junit-xml=junit.xml", "--last-failed", "-x"]
    assert pytest_arguments(given, checkout) == expected
