"""The test run enforces the axes of annotations; users pay nothing for them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

PACKAGE = Path(__file__).parents[1] / "mmflow_bench"


def modules_with_shapes() -> list[str]:
    return [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in sorted(PACKAGE.rglob("*.py"))
        if "from jaxtyping import" in path.read_text()
    ]


@pytest.mark.parametrize("name", modules_with_shapes())
def test_every_module_that_names_axes_is_checked(name: str) -> None:
    # The import hook puts `import jaxtyping` into what it checks; our modules import names of it.
    assert hasattr(import_module(name), "jaxtyping"), f"{name} is not in SHAPE_CHECKED"


def test_a_wrong_number_of_axes_is_refused() -> None:
    from mmflow_bench.statistics.curves import onset

    with pytest.raises(TypeCheckError, match="draw layer"):
        onset(np.zeros(4), floor=0.0)


def test_an_axis_of_two_lengths_in_one_call_is_refused() -> None:
    from mmflow_bench.statistics.curves import cross_fitted_minimum

    assert cross_fitted_minimum(np.zeros((2, 5)), np.ones((2, 5))).tolist() == [0.5, 0.5]
    with pytest.raises(TypeCheckError, match="second"):
        cross_fitted_minimum(np.zeros((2, 5)), np.zeros((3, 5)))


def test_a_wrong_kind_of_number_is_refused() -> None:
    from mmflow_bench.interventions.masks import without_edges

    with pytest.raises(TypeCheckError, match="visible"):
        without_edges(torch.ones(3, 3), sources=[0], targets=[2])


def test_a_record_whose_fields_disagree_is_refused() -> None:
    from mmflow_bench.measurements.knockout_sweep import SweepTable

    described = {"edge": "image->last", "task": "ChooseAttr", "window": 3, "method": "masked"}
    ids = {"question_ids": ("a", "b"), "image_ids": ("a", "b")}
    with pytest.raises(TypeCheckError, match="knockout_probability"):
        SweepTable(
            **described,
            **ids,
            base_probability=np.ones(2),
            knockout_probability=np.ones((3, 4)),
        )


def test_users_are_not_checked() -> None:
    program = (
        "import numpy as np; from mmflow_bench.statistics.curves import onset\n"
        "import sys; assert 'beartype' not in sys.modules\n"
        "assert onset(np.array([[0, 1]]), floor=0.0).tolist() == [1.0]"  # integers
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PACKAGE.parent)
