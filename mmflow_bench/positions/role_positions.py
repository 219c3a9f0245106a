"""Where each role of one sample stands, or why it stands nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mmflow_bench.errors import PositionError
from mmflow_bench.positions.roles import MEASURED_ROLES, SINK_ROLES, WITHOUT, Role

Positions = tuple[int, ...]
SinkFinder = Callable[[Role], frozenset[int]]
"""The positions of a role of `SINK_ROLES`, which a forward pass tells; there may be none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePositions:
    """Where each role of one sample stands."""

    positions: Mapping[Role, Positions]
    """Sorted, never empty."""
    unavailable: Mapping[Role, PositionError]
    """Every other role that needs no forward pass, with the reason."""
    find_sinks: SinkFinder | None = None
    """Asked for `MEASURED_ROLES`; None where no pass was made."""

    def __getitem__(self, role: Role) -> Positions:
        if role in MEASURED_ROLES:
            return self._measured(Role(role))
        if (known := self.unavailable.get(role)) is not None:
            # Another one, for whoever raises an error hangs a traceback on it.
            raise PositionError(*known.args, reason=known.reason)
        return self.positions[role]

    def union(self, roles: Iterable[Role]) -> Positions:
        """The positions of all of the roles together, sorted.

        Raises:
            PositionError: One of them has none; why is that role's reason.
        """
        return tuple(sorted({position for role in roles for position in self[role]}))

    def _measured(self, role: Role) -> Positions:
        """A role of sinks, or one without its sinks; a pass is made when it is asked for."""
        if self.find_sinks is None:
            raise refused(role, "a forward pass", "positions alone", "needs-forward-pass")
        if role in SINK_ROLES:
            found = self.find_sinks(role)
        else:
            whole, sinks = WITHOUT[role]
            # What has no positions at all needs no pass.
            positions = self[whole]
            found = frozenset(positions) - self.find_sinks(sinks)
        if not found:
            raise refused(role, "at least one position", "none", "empty-role")
        return tuple(sorted(found))


def refused(
    role: Role | str, expected: str, got: str, reason: str, sample: str = ""
) -> PositionError:
    """The error of a role that has no positions."""
    of = f" (sample {sample})" if sample else ""
    return PositionError(
        f"{expected} for the role {role}, got {got}{of}; leave out the edges that need this role",
        reason=reason,
    )
