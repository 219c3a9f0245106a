"""Other people's projects: their options are theirs, whatever the name and whenever loaded."""

from __future__ import annotations

import json
import sys

import pytest

from mmflow_bench.options import Option, Place, options_of
from mmflow_bench.plugin.options import long_names, renamed
from mmflow_bench.plugin.settings import Settings

OFFERED = [option for option in options_of(Settings) if Place.PYTEST in option.places]
SHORT = {short: long for short, long in long_names().items() if short != long}
OPTION = {short: option for option in OFFERED for short in option.long_names}
COMMON = (
    *("--model", "--limit", "--seed", "--window", "--images", "--tasks", "--input", "--offline"),
    *("--baseline", "--report", "--gate", "--alpha", "--questions", "--refresh", "--batch-size"),
    *("--tolerance", "--follow", "--patches"),
)
POPULAR = {
    "playwright": ("--device", "--output", "--browser", "--headed", "--tracing", "--base-url"),
    "cov": ("--cov", "--cov-report", "--no-cov"),
    "html": ("--html", "--css", "--self-contained-html"),
    "timeout": ("--timeout", "--timeout-method"),
    "rerunfailures": ("--reruns", "--reruns-delay", "--only-rerun"),
    "randomly": ("--randomly-seed", "--randomly-dont-reorganize"),
    "random_order": ("--random-order", "--random-order-seed"),
    "benchmark": ("--benchmark-only", "--benchmark-json", "--benchmark-compare"),
    "django": ("--ds", "--reuse-db", "--create-db", "--nomigrations"),
    "regressions": ("--force-regen", "--with-test-class-names"),
    "repeat": ("--count", "--repeat-scope"),
    "asyncio": ("--asyncio-mode",),
    "transformers": ("--make-reports", "--runslow", "--model", "--offline"),
    "evaluations": ("--limit", "--tasks", "--batch-size", "--seed", "--report", "--suite"),
    "regression_gate": ("--baseline", "--tolerance", "--gate", "--refresh", "--alpha"),
}
"""Options as known plugins have them, and as projects like ours would call theirs."""
LIGHT = {
    "mmflow_bench",
    *(f"mmflow_bench.plugin{name}" for name in ("", ".hooks", ".hookspecs", ".models")),
}
UNDER_XDIST = LIGHT | {
    *("mmflow_bench.checkpoints", "mmflow_bench.checkpoints.default"),
    *("mmflow_bench.errors", "mmflow_bench.names"),
    *("mmflow_bench.plugin.processes", "mmflow_bench.plugin.scheduling"),
}
LISTING = """
import json, sys

def pytest_unconfigure(config):
    # Not what the environment says, which may be of the tests of the tests.
    who = getattr(config, "workerinput", {}).get("workerid", "main")
    with open(f"modules-{who}.json", "w") as file:
        json.dump(sorted(sys.modules), file)
"""


def owner(*names: str) -> str:
    """A conftest or plugin that has options of these names."""
    return f"""
def pytest_addoption(parser):
    for name in {names}:
        parser.addoption(name, dest="theirs_" + name.strip("-"), default="unsaid", help="theirs")
"""


def theirs(config: pytest.Config, name: str) -> object:
    return config.getoption(f"theirs_{name.strip('-')}")


def typed(option: Option[object], name: str) -> tuple[str, object]:
    """An option as it may be typed, and what argparse makes of it."""
    if option.is_flag:
        return name, not name.startswith("--no-")
    if option.choices:
        return f"{name}={option.choices[0]}", option.choices[0]
    value: object = option.number("0.25") if option.number else "0.25"
    return f"{name}=0.25", [value] if option.is_repeated else value


@pytest.fixture
def foreign(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project that has never heard of mechanisms, and two tests of its own."""
    pytester.makeini("[pytest]\naddopts = -p no:hypothesispytest -p no:jaxtyping")
    pytester.makepyfile(
        test_own="import pytest\n@pytest.mark.parametrize('x', 'ab')\ndef test_plain(x): pass\n"
    )
    pytester.makeconftest(LISTING)
    pytester.syspathinsert()
    return pytester


def modules(project: pytest.Pytester, who: str = "main") -> set[str]:
    found: list[str] = json.loads((project.path / f"modules-{who}.json").read_text())
    return set(found)


def own(loaded: set[str]) -> set[str]:
    return {name for name in loaded if name.split(".")[0] == "mmflow_bench"}


def test_every_option_has_a_name_that_is_nobody_elses() -> None:
    assert set(COMMON) < set(SHORT)
    longs = list(long_names().values())
    assert len(set(longs)) == len(longs) == sum(1 + bool(o.off) for o in OFFERED)
    assert all(long.startswith("--mmflow-") for long in longs)


@pytest.mark.parametrize("place", ["conftest", "plugin before", "plugin after"])
@pytest.mark.parametrize("name", SHORT)
def test_a_name_that_somebody_has_is_his_and_our_long_one_is_ours(
    pytester, monkeypatch, name, place
):
    module = "conftest" if place == "conftest" else "other_plugin"
    pytester.makepyfile(**{module: owner(name)})
    pytester.syspathinsert()
    # pytest loads what -p names before entry points, and what this variable names after them.
    if place == "plugin after":
        monkeypatch.setenv("PYTEST_PLUGINS", module)
    first = ("-p", module) if place == "plugin before" else ()
    argument, value = typed(OPTION[name], name)
    long = argument.replace(name, SHORT[name])
    config = pytester.parseconfig(*first, f"{name}=x", long)
    assert theirs(config, name) == "x"
    assert getattr(config.option, OPTION[name].key) == value


@pytest.mark.parametrize("name", SHORT)
def test_a_name_that_nobody_has_is_ours(pytester, name):
    argument, value = typed(OPTION[name], name)
    config = pytester.parseconfig(argument)
    assert getattr(config.option, OPTION[name].key) == value


def test_a_value_may_have_spaces_in_it_or_before_it_or_come_from_a_file(pytester):
    (pytester.path / "arguments").write_text("--limit=3\n--tasks\nChoose*\n")
    given = ("--model", "planted/mini", "--images=my photos", "--model=b c", "@arguments")
    config = pytester.parseconfig(*given)
    assert config.option.mmflow_model == ["planted/mini", "b c"]
    assert config.option.mmflow_images == "my photos"
    assert (config.option.mmflow_limit, config.option.mmflow_tasks) == ("3", "Choose*")
    assert config.args == [str(pytester.path)]


def test_what_comes_after_two_dashes_is_no_option() -> None:
    arguments = ["--limit=3", "-x", "--seed", "1", "--", "--limit=4"]
    unknown = ["--limit=3", "--nobodys"]
    expected = ["--mmflow-limit=3", "-x", "--seed", "1", "--", "--limit=4"]
    assert renamed(arguments, unknown) == expected


def test_an_argument_that_nobody_knows_is_refused_as_ever(foreign):
    run_result = foreign.runpytest_inprocess("--limitt=3")
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stderr.fnmatch_lines(["*error: unrecognized arguments: --limitt=3"])


def test_conftests_that_are_loaded_while_tests_are_collected_have_any_name(foreign):
    nested = foreign.mkdir("package") / "nested"
    nested.mkdir()
    (nested / "conftest.py").write_text(owner(*SHORT))
    (nested / "test_nested.py").write_text(
        "def test_theirs(request): assert request.config.option.theirs_model == 'unsaid'"
    )
    foreign.runpytest_inprocess("--mmflow-seed=3").assert_outcomes(passed=3)


@pytest.mark.parametrize("has_options", [True, False])
def test_a_conftest_that_loads_the_plugin_itself(pytester, monkeypatch, has_options):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    loading = 'pytest_plugins = ("mmflow_bench.plugin", "later")\n'
    names = ("--model", "--seed") if has_options else ("--else",)
    pytester.makepyfile(later=owner("--limit"), conftest=loading + owner(*names))
    pytester.syspathinsert()
    pytester.mkdir("tests").joinpath("conftest.py").write_text(owner("--window"))
    given = ("--model=a", "--mmflow-model=b", "--limit=3", "--mmflow-limit=4", "--window=x")
    config = pytester.parseconfig(*given)
    assert theirs(config, "--limit") == "3"
    assert theirs(config, "--window") == "x"
    assert config.option.mmflow_limit == "4"
    assert config.option.mmflow_model == (["b"] if has_options else ["a", "b"])


def test_a_dozen_plugins_and_this_one_are_strangers_to_each_other(foreign, monkeypatch):
    files = {f"other_{plugin}": owner(*names) for plugin, names in POPULAR.items()}
    foreign.makepyfile(**files)
    before, after = list(files)[::2], list(files)[1::2]
    monkeypatch.setenv("PYTEST_PLUGINS", ",".join(after))
    first = [word for module in before for word in ("-p", module)]
    given = [f"{name}=x" for names in POPULAR.values() for name in names]
    run_result = foreign.runpytest_subprocess(*first, *given)
    run_result.assert_outcomes(passed=2)
    shown = [*run_result.outlines, *run_result.errlines]
    # pytest itself names the packages of plugins in one line.
    assert [line for line in shown if "mmflow" in line and not line.startswith("plugins: ")] == []
    assert own(modules(foreign)) == LIGHT


def test_a_project_that_does_not_use_it_imports_next_to_nothing(foreign):
    with (foreign.path / "conftest.py").open("a") as conftest:
        conftest.write(owner("--model"))
    foreign.runpytest_subprocess("--model=gpt2").assert_outcomes(passed=2)
    loaded = modules(foreign)
    blocked = ("-p", "no:mmflow_bench.plugin")
    foreign.runpytest_subprocess("--model", "gpt2", *blocked).assert_outcomes(passed=2)
    without = modules(foreign)
    assert own(loaded) == LIGHT
    assert not own(without)
    # Of the standard library, what pytest has not loaded anyway.
    assert len(loaded - without) <= len(LIGHT) + 2, sorted(loaded - without)


def test_nor_do_its_workers(foreign):
    foreign.runpytest_subprocess("-n", "1").assert_outcomes(passed=2)
    assert own(modules(foreign)) == UNDER_XDIST
    assert own(modules(foreign, "gw0")) == LIGHT


def test_a_scheduler_of_the_projects_own_is_kept(foreign):
    foreign.makepyfile(
        scheduled="""
        from xdist.scheduler import LoadFileScheduling

        def pytest_xdist_make_scheduler(config, log):
            print("scheduled by the project")
            return LoadFileScheduling(config, log)
        """
    )
    run_result = foreign.runpytest_subprocess("-n", "1", "-p", "scheduled")
    run_result.assert_outcomes(passed=2)
    run_result.stdout.fnmatch_lines(["*scheduled by the project*"])


def test_an_option_that_went_to_another_plugin_is_missed_aloud(project):
    with (project.path / "conftest.py").open("a") as conftest:
        conftest.write(owner("--limit", "--seed"))
    run_result = project.runpytest_inprocess("--limit=3", "--mmflow-seed=1")
    run_result.assert_outcomes(passed=4)
    run_result.stdout.fnmatch_lines(["*--limit is an option of another plugin*--mmflow-limit*"])
    assert "--seed is" not in run_result.stdout.str()


def test_mmflow_run_means_ours_whoever_has_the_name(project, results):
    with (project.path / "conftest.py").open("a") as conftest:
        conftest.write(owner("--limit", "--alpha"))
    given = ("run", "test_suite.py", "--limit", "3", "--alpha=0.01", "-q")
    ran = project.run(sys.executable, "-m", "mmflow_bench", *given)
    assert ran.ret == 0
    settings = results()["settings"]
    assert (settings["limit"], settings["alpha"]) == ("3", 0.01)


def test_help_has_both_names(foreign):
    told = foreign.runpytest_inprocess("--help").stdout.str()
    for short, long in SHORT.items():
        assert long in told
        assert f"[{short}]" in " ".join(told.split())


@pytest.mark.parametrize("is_completing", [True, False])
def test_a_shell_that_completes_is_offered_them(pytester, monkeypatch, is_completing):
    if is_completing:
        monkeypatch.setenv("_ARGCOMPLETE", "1")
    assert hasattr(pytester.parseconfig().option, "mmflow_model") == is_completing
