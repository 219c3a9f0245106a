"""Edges between roles, as people write them: `image->question`."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from mmflow_bench.errors import KnockoutError
from mmflow_bench.positions.roles import Role

PAPER_EDGES = (
    "question->last",
    "image->last",
    "last->last",
    "image->question",
    "related_patches->question",
    "other_patches->question",
)
"""The six edges whose knockouts the paper shows (arXiv:2411.18620, sec. 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """All attention edges from the positions of one role to those of another."""

    source: Role
    target: Role

    @classmethod
    def parse(cls, text: str) -> Edge:
        """The edge that `text` names.

        >>> str(Edge.parse("image -> question"))
        'image->question'

        Raises:
            KnockoutError: `text` is not two known roles around an arrow.
        """
        parts = [part.strip() for part in text.split("->")]
        if len(parts) != 2:
            raise KnockoutError(
                f"an edge as `source->target`, got {text!r}; write for example `image->question`"
            )
        source, target = (_role(part, text) for part in parts)
        return cls(source=source, target=target)

    def __str__(self) -> str:
        """The name without spaces, as tables and stores use it."""
        return f"{self.source}->{self.target}"


def _role(name: str, edge: str) -> Role:
    known = [str(role) for role in Role]
    if name in known:
        return Role(name)
    closest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean `{closest[0]}`?" if closest else "choose one of them"
    raise KnockoutError(f"a role of {', '.join(known)}, got {name!r} (edge {edge!r}); {hint}")
