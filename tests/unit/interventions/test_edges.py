"""Edge names as people write them."""

from __future__ import annotations

import pytest

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.knockout import Edge
from mmflow_bench.positions.roles import Role

# The six edges whose knockouts the paper shows (arXiv:2411.18620, sec. 5).
PAPER_EDGES = (
    "question->last",
    "image->last",
    "last->last",
    "image->question",
    "related_patches->question",
    "other_patches->question",
)


@pytest.mark.parametrize("name", PAPER_EDGES)
def test_every_edge_of_the_paper_parses_to_itself(name):
    assert str(Edge.parse(name)) == name


@pytest.mark.parametrize("text", ["image->question", "image -> question", " image  ->question "])
def test_spaces_do_not_matter(text):
    assert Edge.parse(text) == Edge(source=Role.IMAGE, target=Role.QUESTION)


def test_an_unknown_role_names_the_closest_and_lists_all():
    with pytest.raises(KnockoutError) as caught:
        Edge.parse("imge->last")
    message = str(caught.value)
    assert "got 'imge' (edge 'imge->last')" in message
    assert "did you mean `image`?" in message
    assert all(str(role) in message for role in Role)


@pytest.mark.parametrize("text", ["image", "image->question->last", "", "image=>last"])
def test_anything_but_one_arrow_is_refused(text):
    with pytest.raises(KnockoutError, match="an edge as `source->target`"):
        Edge.parse(text)
