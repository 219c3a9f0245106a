"""What a campaign file may say, and what is refused before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmflow_bench.campaigns.asked import read_campaign
from mmflow_bench.errors import CampaignError


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str) -> Path:
        (tmp_path / "campaign.yaml").write_text(text)
        return tmp_path / "campaign.yaml"

    return written


def test_a_name_is_enough(write):
    campaign = read_campaign(write("checkpoints: [planted/base]"))
    (part,) = campaign.parts
    assert (part.model, part.suite, part.hours) == ("planted/base", "core", None)
    assert {"--model=planted/base", "--gate=none"} <= set(part.arguments)
    assert campaign.output == campaign.folder / "campaign"


def test_high_priorities_come_first_and_of_each_the_first_suite_of_all(write):
    text = """
    checkpoints:
      - a
      - {model: b, priority: 2}
      - {model: c, priority: 2, hours: 1.5}
    suites: [core, all]
    hours: 3
    """
    campaign = read_campaign(write(text))
    assert [part.name for part in campaign.parts] == [
        *("b, core", "c, core", "b, all", "c, all"),
        *("a, core", "a, all"),
    ]
    assert campaign.hours == 3
    assert [part.hours for part in campaign.parts[:2]] == [None, 1.5]
    assert "--suite=all" in campaign.parts[2].arguments


def test_options_of_a_checkpoint_replace_those_of_all(write):
    text = """
    checkpoints:
      - a
      - {model: b, tasks: ["Query*"], options: {limit: 4, gate: strict}}
    tasks: [ChooseAttr, ChooseCat]
    options: {limit: 64, twins: false, tolerance: {effect: 0.2}, report: [html, md]}
    pytest: [-n, "2"]
    """
    one, other = read_campaign(write(text)).parts
    assert {"--tasks=ChooseAttr,ChooseCat", "--limit=64", "--report=html,md"} <= {*one.arguments}
    assert {"--tasks=Query*", "--limit=4", "--gate=strict", "--no-twins"} <= {*other.arguments}
    assert "--tolerance=effect=0.2" in one.arguments
    assert one.settings.tolerance["fraction"] == 0.2
    assert one.arguments[-2:] == ("-n", "2")
    assert other.settings.measurement.limit == "4"


def test_paths_are_relative_to_the_file(write, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (part,) = read_campaign(write("checkpoints: [a]\noptions: {cache: store}")).parts
    assert part.settings.measurement.cache == tmp_path / "store"
    assert "--mmflow-cache=store" in part.arguments


def test_a_store_that_is_off_is_off_in_its_runs(write):
    (part,) = read_campaign(write('checkpoints: [a]\noptions: {cache: "off"}')).parts
    assert "--mmflow-cache=off" in part.arguments


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got NoneType"),
        ("- a", "got list"),
        ("checkpoints: []", "checkpoints"),
        ("checkpoints: [1]", "checkpoints.0"),
        ('checkpoints: [""]', "checkpoints.0"),
        ("checkpoint: [a]", "did you mean checkpoints"),
        ("checkpoints: [{model: a, hour: 1}]", "did you mean hours"),
        ("checkpoints: [a, a]", "'a' again"),
        ("checkpoints: [a]\ncheckpoints: [b]", "'checkpoints' twice"),
        ("checkpoints: [a]\nsuites: [cor]", "suites.0"),
        ("checkpoints: [a]\nsuites: core", "suites"),
        ("checkpoints: [a]\nhours: .nan", "hours"),
        ("checkpoints: [a]\nhours: -1", "hours"),
        ("checkpoints: [a]\nhours: .inf", "hours"),
        ("checkpoints: [a]\noptions: {limt: 3}", "did you mean limit"),
        ("checkpoints: [a]\noptions: {limit: -3}", "--limit"),
        ("checkpoints: [a]\noptions: {limit: true}", "a text, a number or a list"),
        ("checkpoints: [a]\noptions: {twins: 1}", "true or false"),
        ("checkpoints: [a]\noptions: {stat: anytme}", "bootstrap, anytime"),
        ("checkpoints: [a]\noptions: {model: b}", "under `checkpoints:`"),
        ("checkpoints: [a]\noptions: {tasks: b}", "under `tasks:`"),
        ("checkpoints: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("checkpoints: [", "expected"),
        ("a: &a [*a]\ncheckpoints: [b]", "the key 'a'"),
        ("[" * 5000, "got"),
        ("{[1]: 2}", "got"),
        ("checkpoints: [\x00]", "got"),
    ],
)
def test_what_no_campaign_says_is_refused_with_the_file_and_what_was_expected(write, text, said):
    path = write(text)
    with pytest.raises(CampaignError) as error:
        read_campaign(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 2000


def test_a_folder_and_a_file_of_bytes_are_refused(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x80checkpoints")
    for path in (tmp_path, tmp_path / "bytes.yaml", tmp_path / "none.yaml"):
        with pytest.raises(CampaignError, match=r"campaign file in YAML.*got"):
            read_campaign(path)


def test_two_folders_of_one_name_have_runs_of_their_own(write, tmp_path):
    for name in ("x/tuned", "y/tuned"):
        (tmp_path / name).mkdir(parents=True)
    parts = read_campaign(write("checkpoints: [./x/tuned, ./y/tuned]")).parts
    assert len({part.slug for part in parts}) == 2
