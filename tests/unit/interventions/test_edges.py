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
    assert Edge.parse(text) == Edge(sources=(Role.IMAGE,), targets=(Role.QUESTION,))


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


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("false_option + true_option -> last", "true_option+false_option->last"),
        ("image->suffix+last+question", "image->question+last+suffix"),
        ("last+image -> suffix+last", "image+last->last+suffix"),
    ],
)
def test_a_union_is_one_edge_however_its_roles_are_listed(text, name):
    edge = Edge.parse(text)
    assert str(edge) == name
    assert Edge.parse(name) == edge
    backwards = Edge(sources=edge.sources[::-1], targets=edge.targets[::-1])
    assert (backwards, hash(backwards)) == (edge, hash(edge))


def test_an_unknown_role_of_a_union_names_the_closest():
    with pytest.raises(KnockoutError) as caught:
        Edge.parse("true_option+fals_option -> last")
    message = str(caught.value)
    assert "got 'fals_option' (edge 'true_option+fals_option -> last')" in message
    assert "did you mean `false_option`?" in message


@pytest.mark.parametrize(
    "text", ["image+ -> last", "+image->last", "image->+", "image++last->last"]
)
def test_a_union_with_a_gap_is_refused(text):
    with pytest.raises(KnockoutError, match=r"a role of image, .*, got ''"):
        Edge.parse(text)


@pytest.mark.parametrize("text", ["image+image->last", "image->last+ question+last"])
def test_a_role_is_named_once_in_a_union(text):
    with pytest.raises(KnockoutError, match=r"every role of a union once, got (image|last) more"):
        Edge.parse(text)
