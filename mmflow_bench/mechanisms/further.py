"""What mechanisms ask of a flow beyond the paper: cuts of several edges, heads, patched states."""

from __future__ import annotations

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.interventions.stretches import Stretch
from mmflow_bench.measurements.backpatch import BackPatch
from mmflow_bench.measurements.cut_paths import CutPaths
from mmflow_bench.measurements.head_masks import HeadMasks
from mmflow_bench.mechanisms.cutting import CutEffect
from mmflow_bench.mechanisms.heads import HeadAttribution
from mmflow_bench.mechanisms.patching import PatchEffect
from mmflow_bench.mechanisms.readings import Readings
from mmflow_bench.names import one_of


class FurtherReadings(Readings):
    """Readings that a `Flow` has beside its curves and lenses."""

    def cut(self, task: str, *cuts: str | Stretch, method: str = Method.MASKED) -> CutEffect:
        """What becomes of the answer when several edges are cut at once.

        Args:
            task: A task of the question file.
            cuts: Edges written `source -> target` that are cut in all layers, or stretches of them
                in some depths, such as `Stretch.of("question -> last", outside=MID)`.
            method: masked or unnormalised.

        Raises:
            NotApplicable: No sample of the task has positions for all of the roles.
            KnockoutError: An edge names an unknown role.
            MechanismError: The task or the method is not known.
        """
        one_of(method, (Method.MASKED, Method.UNNORMALISED), "a method of cutting several edges")
        stretches = tuple(Stretch.of(one) if isinstance(one, str) else one for one in cuts)
        want = CutPaths(stretches=stretches, method=Method(method))
        table = self.table(task, want, lacked=f"positions for {want.name}")
        return CutEffect(table=table, alpha=self._alpha, noise_floor=self.noise_floor)

    def heads(self, edge: str, task: str) -> HeadAttribution:
        """How much of an edge's effect each attention head carries.

        Raises:
            NotApplicable: No sample of the task has positions for both roles.
            KnockoutError: The edge names an unknown role.
            MechanismError: The task is not known.
        """
        want = HeadMasks.of(edge)
        table = self.table(task, want, lacked=f"positions for {want.edge}")
        return HeadAttribution(table=table, alpha=self._alpha)

    def backpatch(self, task: str, *, late: float, early: float) -> PatchEffect:
        """What becomes of the answer when image states of a late depth enter an early one.

        Raises:
            NotApplicable: No sample of the task has an image.
            MechanismError: The task is not known, or the depths are in the wrong order.
        """
        want = BackPatch(late=late, early=early)
        table = self.table(task, want, lacked="an image whose states could be patched")
        return PatchEffect(table=table, alpha=self._alpha)
