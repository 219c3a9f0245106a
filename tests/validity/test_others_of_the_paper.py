"""What the paper says of its other checkpoints and of captions fails where it is not so.

Planted checkpoints stand in the place of LLaVA-1.5-7b, Llama3-LLaVA-NeXT and Vicuna: one of them
as the paper says, others not (docs/decisions/039).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import verdicts

pytestmark = pytest.mark.slow

TEXT = {
    "planted/text": set(),
    "planted/text-late-question": {"uni-q-last-mid"},
    "planted/text-mid-caption": {"uni-cap-last-low"},
    "planted/text-late-caption": {"uni-cap-last-low", "uni-stages"},
}


def test_each_row_on_captions_fails_where_its_mechanism_is_missing(tmp_path: Path) -> None:
    found = verdicts(tmp_path, models=list(TEXT), mechanisms="uni-*", options=["--no-twins"])
    for name, failing in TEXT.items():
        said = {row.partition("[")[0]: verdict for row, verdict in found[name].items()}
        assert {row for row, verdict in said.items() if verdict == "fails"} == failing, name
        assert set(said.values()) <= {"holds", "fails"}


def test_the_smaller_checkpoint_is_compared_with_the_larger_of_the_run(tmp_path: Path) -> None:
    # The last is in the place of the larger one too, and is not what it is compared with.
    models = ["planted/as-7b", "planted/as-7b-sharp", "planted/base", "planted/no-stage-1"]
    rows = "imgq-drop1-7b-less,oth-7b-less"
    found = verdicts(tmp_path, models=models, mechanisms=rows, options=["--no-twins"])
    expected = dict.fromkeys(models, "not-applicable")
    expected |= {"planted/as-7b": "holds", "planted/as-7b-sharp": "fails"}
    for name, verdict in expected.items():
        said = dict.fromkeys(("imgq-drop1-7b-less[ChooseAttr]", "oth-7b-less[ChooseAttr]"), verdict)
        assert found[name] == said, name


def test_checkpoints_are_compared_from_one_store_without_being_loaded(tmp_path: Path) -> None:
    options, rows = ["--no-twins"], "oth-7b-less"
    for name in ("planted/base", "planted/as-7b"):
        # Measured one by one, as two machines would.
        verdicts(tmp_path, models=[name], mechanisms="oth-dom-1", options=options)
    both = ["planted/as-7b", "planted/base"]
    again = verdicts(
        tmp_path, models=both, mechanisms=rows, options=[*options, "--from-cache", "-n", "2"]
    )
    assert again["planted/as-7b"] == {"oth-7b-less[ChooseAttr]": "holds"}


def test_a_line_break_is_asked_of_what_answers_begin_with(tmp_path: Path) -> None:
    models = ["planted/line-break", "planted/as-8b"]
    found = verdicts(tmp_path, models=models, mechanisms="lens-newline-8b")
    assert found == {
        "planted/line-break": {"lens-newline-8b[ChooseAttr]": "holds"},
        "planted/as-8b": {"lens-newline-8b[ChooseAttr]": "fails"},
    }


AS_THEY_ARE = {
    "planted/as-7b": {"7b-consistent": "holds"},
    "planted/as-7b-sharp": {"7b-consistent": "fails"},
    "planted/as-16-7b": {"16-7b-consistent": "holds"},
    "planted/as-16-7b-capital": {"16-7b-consistent": "fails"},
    "planted/as-8b": {"8b-consistent": "holds"},
    "planted/as-8b-lower": {"8b-consistent": "fails"},
}


def test_a_checkpoint_that_does_otherwise_in_one_thing_is_not_consistent(tmp_path: Path) -> None:
    found = verdicts(
        tmp_path,
        models=[*AS_THEY_ARE, "planted/base"],
        mechanisms="7b-consistent,16-7b-consistent,8b-consistent",
        options=["--no-twins", "-n", "2"],
    )
    decided = {
        name: {row: one for row, one in rows.items() if one != "not-applicable"}
        for name, rows in found.items()
    }
    assert decided == AS_THEY_ARE | {"planted/base": {}}
