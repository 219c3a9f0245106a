"""A table of a run that holds what nobody can have measured is refused by file, column and row."""

from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from run_folders import write_made_up_run

from mmflow_bench.cli.main import main
from mmflow_bench.errors import StoreError
from mmflow_bench.runs.checked_tables import read_table
from mmflow_bench.runs.folder import ANSWERS, LENS, MECHANISMS, REMOVAL, SAMPLES
from mmflow_bench.runs.ranges import refuse_out_of_range

SOUND = {
    SAMPLES: {"base_probability": [0.5, 1.0], "relative_change": [[-1.0, 1.0], [0.0, -0.5]]},
    LENS: {"probability": [[0.0, 1.0], [0.5, 0.5]]},
    REMOVAL: {
        "first_layer": [[1, 2], [1, 2]],
        "probability": [[0.0, 1.0], [0.5, 0.5]],
        "operations": [[1e9, 2e9], [1e9, 2e9]],
        "cache_bytes": [[1e6, 2e6], [1e6, 2e6]],
    },
    ANSWERS: {"base_probability": [0.001, 1.0]},
    MECHANISMS: {
        "estimate": [-0.3, None],
        "low": [math.nan, -3.0],
        "p_value": [None, 1.0],
        "curve": [[0.1, -7.0], []],
    },
}
DAMAGE = [
    (SAMPLES, "base_probability", [0.5, math.nan], "row 1"),
    (SAMPLES, "base_probability", [7.5, 0.5], "row 0"),
    (SAMPLES, "base_probability", [0.5, 0.0], "row 1"),
    (SAMPLES, "base_probability", [0.5, None], "row 1"),
    (SAMPLES, "relative_change", [[0.0, math.nan], [0.0, 0.0]], "row 0"),
    (SAMPLES, "relative_change", [[0.0, 0.0], [math.inf, 0.0]], "row 1"),
    (SAMPLES, "relative_change", [[0.0, 0.0], [0.0, -1.5]], "row 1"),
    (SAMPLES, "relative_change", [[1.1, 0.0], [0.0, 0.0]], "row 0"),
    (SAMPLES, "relative_change", [[0.0, 0.0], [0.0, None]], "row 1"),
    (SAMPLES, "relative_change", [None, [0.0, 0.0]], "row 0"),
    (SAMPLES, "relative_change", [[0.0, 0.0], [0.0]], "row 1"),
    (SAMPLES, "relative_change", [[], []], "row 0"),
    (LENS, "probability", [[0.5], [0.5, 0.5]], "row 1"),
    (LENS, "probability", [[0.5, 0.5], [0.5, 7.5]], "row 1"),
    (REMOVAL, "operations", [[1e9, -1.0], [1e9, 2e9]], "row 0"),
    (REMOVAL, "first_layer", [[1, 2], [1, 10**9]], "row 1"),
    (LENS, "probability", [[0.5, -0.1], [0.5, 0.5]], "row 0"),
    (LENS, "probability", [[0.5, 0.5], None], "row 1"),
    (ANSWERS, "base_probability", [-math.inf, 0.5], "row 0"),
    (ANSWERS, "base_probability", [None, 0.5], "row 0"),
    (MECHANISMS, "estimate", [0.1, math.inf], "row 1"),
    (MECHANISMS, "curve", [[0.1], [-math.inf]], "row 1"),
    (MECHANISMS, "p_value", [0.5, 7.0], "row 1"),
]


@pytest.mark.parametrize("name", SOUND)
def test_what_can_be_measured_is_read(tmp_path, name):
    for columns in (SOUND[name], {column: [] for column in SOUND[name]}):
        refuse_out_of_range(pa.table(columns), tmp_path / name)


@pytest.mark.parametrize(("name", "column", "values", "row"), DAMAGE)
def test_what_cannot_is_refused_where_it_is(tmp_path, name, column, values, row):
    path = tmp_path / name
    with pytest.raises(StoreError) as refused:
        refuse_out_of_range(pa.table(SOUND[name] | {column: values}), path)
    said = str(refused.value)
    assert f"(column {column}, {row}, {path}); the file is damaged" in said


@pytest.mark.parametrize("kept", [pa.float32(), pa.float64()])
def test_rounding_is_no_damage(tmp_path, kept):
    lists = pa.array([[-1.0 - 1e-7, 2.0 + 1e-6]], pa.list_(kept))
    table = pa.table({"base_probability": [1 / 3], "relative_change": lists})
    refuse_out_of_range(table, tmp_path / SAMPLES)


def test_words_where_numbers_belong_are_damage(tmp_path):
    path = tmp_path / ANSWERS
    pq.write_table(pa.table({"base_probability": ["a half"]}), path)
    with pytest.raises(StoreError, match=r"a readable answers.parquet"):
        read_table(path)


def test_every_command_refuses_a_run_with_such_a_table_in_one_line(tmp_path):
    sound, run = (write_made_up_run(tmp_path / name) for name in ("sound", "spoiled"))
    table = pq.read_table(run / SAMPLES)
    changes = table["relative_change"].to_pylist()
    changes[3][2] = math.nan
    place = table.column_names.index("relative_change")
    table = table.set_column(place, "relative_change", pa.array(changes, pa.list_(pa.float64())))
    pq.write_table(table, run / SAMPLES)
    for command in (
        ("compare", run, sound),
        ("compare", sound, run),
        ("bless", run, f"--baselines={tmp_path / 'blessed'}"),
        ("report", run, "--html"),
        ("report", sound, "--html", f"--baseline={run}"),
        ("leaderboard", run, f"--output={tmp_path / 'site'}"),
    ):
        found = CliRunner().invoke(main, [str(word) for word in command])
        assert found.exit_code == 2, command
        assert found.output.startswith("mmflow: "), command
        assert "column relative_change, row 3" in found.output, command
        assert len(found.output.splitlines()) == 1
    assert not (tmp_path / "blessed").exists()
    assert not (tmp_path / "site").exists()
