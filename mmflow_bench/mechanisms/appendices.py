"""What mechanisms of the paper's appendices ask of a flow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmflow_bench.interventions.knockout import Edge, Module
from mmflow_bench.measurements.long_answer import LongAnswer
from mmflow_bench.measurements.patch_areas import PatchAreas
from mmflow_bench.measurements.patch_norms import PatchNorms
from mmflow_bench.measurements.question_semantics import QuestionSemantics, SemanticsTable
from mmflow_bench.measurements.removal import ImageRemoval
from mmflow_bench.measurements.removal_time import RemovalTime
from mmflow_bench.measurements.wants import OfSamples, Want
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.module_loss import ModuleLoss
from mmflow_bench.mechanisms.patches import Areas, Norms
from mmflow_bench.mechanisms.readings import Readings
from mmflow_bench.mechanisms.removal import RemovalCurve, time_saved
from mmflow_bench.mechanisms.verdicts import Inconclusive, NotApplicable, Undecided
from mmflow_bench.names import one_of


class AppendixReadings(Readings):
    """Modules, meaning, patches, removal and long answers."""

    def without_module(self, module: str, *tasks: str) -> ModuleLoss:
        """What the question loses of what it says without a module, averaged over tasks.

        Args:
            module: attention or mlp.
            tasks: Tasks of the question file.

        Raises:
            NotApplicable: A task has no samples whose question says anything.
            MechanismError: A task or the module is not known.
        """
        one_of(module, [*Module], "a module of a decoder layer")
        tables = [self._semantics(task, QuestionSemantics.of(module)) for task in tasks]
        return ModuleLoss.of(tables, width=self.width, alpha=self._alpha)

    def semantics(self, edge: str, task: str) -> Curve:
        """The change of what the question says when an edge is knocked out: J - 1 by layer.

        J is the Jaccard similarity of its likeliest tokens with and without the edge (App. K).

        Raises:
            NotApplicable: No sample of the task has positions for both roles, or says anything.
            KnockoutError: The edge names an unknown role.
            MechanismError: The task is not known.
        """
        table = self._semantics(task, QuestionSemantics(without=Edge.parse(edge)))
        return Curve(
            name=f"what the question says without {table.without} on {task}",
            values=table.similarity - 1,
            image_ids=table.image_ids,
            width=table.window or self.width,
            alpha=self._alpha,
            counts_unseen=not self._is_part,
        )

    def patch_areas(self, task: str) -> Areas:
        """How many of an image's patches show what is asked about.

        Raises:
            NotApplicable: No sample of the task has patches that do.
        """
        table = self.table(task, PatchAreas(), lacked="related patches")
        return Areas(table=table, alpha=self._alpha)

    def patch_norms(self, task: str) -> Norms:
        """Norms of patches before and after the projector, and which are sinks.

        Raises:
            NotApplicable: No sample has an image, or the family's features cannot be told.
        """
        table = self.table(task, PatchNorms(), lacked="norms of patches")
        return Norms(table=table, alpha=self._alpha)

    def removal(self, *tasks: str) -> RemovalCurve:
        """What is lost and saved when the image is gone from a layer on, over some tasks together.

        Raises:
            NotApplicable: No sample has an image, or the decoder has one layer.
        """
        tables = self._of_tasks(tasks, ImageRemoval(), "an image to be removed")
        if len(tables[0].layers) == 1:
            raise NotApplicable("a decoder of one layer, which has none to go without the image")
        return RemovalCurve(tables=tables, alpha=self._alpha)

    def time_saved(self, *tasks: str) -> Estimate:
        """The share of time that an answer saves without the image in the last half of the layers.

        Of the decoder's operations where no accelerator could time it. Raises as `removal` does.
        """
        counted = self.removal(*tasks)
        found = [self._measurements.table(task, RemovalTime()) for task in tasks]
        timed = [table for table in found if table.question_ids]
        if timed:
            return time_saved(timed, alpha=self._alpha)
        return counted.operations_saved(counted.layer_at(0.5))

    def long_answers(self) -> Curve:
        """The change of generated tokens when none of their positions sees the image.

        Over the long answers of all tasks, right or wrong, tokens after the first (those that name
        the sample's objects, where it names any).

        Raises:
            NotApplicable: Every answer is a word or two, or about no image.
        """
        want = LongAnswer()
        tables = [self._measurements.table(task, want) for task in self.tasks]
        found = [table for table in tables if table.question_ids]
        if not found:
            raise self._none_of(want.name, "a long answer about an image")
        return Curve(
            name=f"generated words without the image on {', '.join(table.task for table in found)}",
            values=np.concatenate([table.relative_change for table in found]),
            image_ids=tuple(image for table in found for image in table.image_ids),
            width=self.width,
            alpha=self._alpha,
            noise_floor=self.noise_floor,
            counts_unseen=not self._is_part,
        )

    def _semantics(self, task: str, want: QuestionSemantics) -> SemanticsTable:
        return self.table(task, want, lacked="a question that says anything")

    def _none_of(self, name: str, lacked: str) -> Undecided:
        """Why nothing is known of `name` on any task."""
        why = [self._nothing(task, name, lacked) for task in self.tasks]
        undecided = [one for one in why if isinstance(one, Inconclusive)]
        return undecided[0] if undecided else NotApplicable("; ".join(map(str, why)))

    def _of_tasks(
        self, tasks: Sequence[str], want: Want[OfSamples], lacked: str
    ) -> list[OfSamples]:
        """The tables of tasks that have samples for a want; a refusal where none has."""
        if not tasks:
            raise NotApplicable("no samples of any task")
        for task in tasks:
            self._require_samples(task)
        tables = [self._measurements.table(task, want) for task in tasks]
        found = [table for table in tables if table.question_ids]
        if not found:
            raise self._nothing(tasks[0], want.name, lacked)
        return found
