"""Workers as actors of Ray: one for each accelerator, or for so many cores where there is none."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import ray
from ray.exceptions import (
    ObjectStoreFullError,
    OutOfDiskError,
    RayActorError,
    RayError,
    RayTaskError,
)

from mmflow_bench.engines.dealing import Piece
from mmflow_bench.engines.fleet import Finished, Lost, Ready
from mmflow_bench.engines.ray_session import is_head_listening
from mmflow_bench.engines.worker import Recipe, Worker
from mmflow_bench.errors import EngineError
from mmflow_bench.measurements.jobs import Job

logger = logging.getLogger(__name__)

FAILED_STARTS = 5
"""Workers that may die one after the other while they load, and none that begins between them."""
_SECONDS_BETWEEN_LOOKS = 5.0
_SECONDS_BETWEEN_LINES = 60.0
_OWN_DEATH = "its worker process has died"
"""What Ray says where neither a node was lost nor anybody has ended the actor."""


class RayFleet:
    """As many actors as are wanted, another one for each that is lost.

    Actors that nothing is free for wait, and so tell the autoscaler of a cluster to add nodes.
    """

    kind: type[Worker] = Worker
    """What an actor is."""

    def __init__(self, recipe: Recipe, *, workers: int | None, cores: int) -> None:
        """Ask for the first actors.

        Args:
            recipe: What every worker has to know.
            workers: How many are wanted; as many as the cluster has room for when None.
            cores: Of a worker, where the cluster has no accelerator.
        """
        self._recipe, self._wanted, self._cores = recipe, workers, cores
        self._numbers = count(1)
        self._actors: dict[str, Any] = {}
        self._out: dict[Any, tuple[str, Piece[Job] | None]] = {}
        """What was asked -> of which worker, and its piece; without one while it loads."""
        self._failed, self._has_head = 0, True
        self._looked = self._said = time.monotonic()
        self._fill()

    def give(self, worker: str, piece: Piece[Job]) -> None:
        """Give a worker a piece, which it measures after those that it was given before.

        Raises:
            EngineError: It is large, and Ray has no room for it.
        """
        try:
            # One by one: what is below 100 KB goes with the call, however full the store is.
            given = self._actors[worker].measure.remote(*piece.items)
        except (ObjectStoreFullError, OutOfDiskError) as error:
            raise EngineError(
                "room in Ray's object store for samples above Ray's limit for calls, got none ("
                f"{_reason(error)}); free it, or start Ray with more --object-store-memory"
            ) from error
        self._out[given] = (worker, piece)

    def events(self, patience: float) -> Iterator[Ready | Finished[Job] | Lost]:
        """What has happened, as soon as anything has; nothing after so many seconds.

        Raises:
            MMFlowError: A worker refuses, or none can start.
        """
        if time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS:
            self._look()
        waiting = list(self._out)
        if not waiting:
            time.sleep(patience)
            return
        done, _ = ray.wait(waiting, num_returns=1, timeout=patience)
        if done:
            done, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        self._say_waiting()
        for one in done:
            # Gone with a worker that was lost a moment ago.
            if one in self._out:
                yield self._heard(one)

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors, self._out = {}, {}

    def _heard(self, reference: Any) -> Ready | Finished[Job] | Lost:
        worker, piece = self._out[reference]
        try:
            refusal = ray.get(reference)
        except RayTaskError:
            raise
        except RayError as error:
            return self._lost(worker, error)
        del self._out[reference]
        if refusal is not None:
            raise refusal.error()
        if piece is not None:
            return Finished(worker, piece)
        self._failed = 0
        return Ready(worker)

    def _lost(self, worker: str, error: RayError) -> Lost:
        why = _reason(error)
        is_loading = (worker, None) in self._out.values()
        self._out = {one: given for one, given in self._out.items() if given[0] != worker}
        # One that cannot be reached may still be at work.
        ray.kill(self._actors.pop(worker))
        is_own = isinstance(error, RayActorError) and _OWN_DEATH in str(error)
        self._failed += is_own and is_loading
        if self._failed >= FAILED_STARTS:
            raise EngineError(
                f"workers that load the checkpoint, got {self._failed} one after the other that "
                f"died while they did ({why}); look at the memory of the nodes, and load it on one "
                "of them without --engine"
            )
        logger.warning("a worker was lost (%s): what it had is given to others", why)
        self._fill()
        return Lost(worker, why, is_own)

    def _look(self) -> None:
        """Ask for what is missing, or say that there is nobody who could be asked."""
        self._looked = time.monotonic()
        is_there = is_head_listening()
        if is_there:
            self._fill()
        elif self._has_head:
            logger.warning(
                "the head of the Ray cluster does not answer: Ray ends this command if it stays "
                "away for a minute. What was measured is kept, and the same command goes on from "
                "there when there is a cluster again"
            )
        self._has_head = is_there

    def _fill(self) -> None:
        """Ask for actors that are missing, or that nodes have come for."""
        self._looked = time.monotonic()
        has_accelerators, room = self._room()
        wanted = max(1, room) if self._wanted is None else self._wanted
        needs: dict[str, Any] = {"num_cpus": self._cores}
        if has_accelerators:
            needs = {"num_cpus": 1, "num_gpus": 1}
        for _ in range(wanted - len(self._actors)):
            name = str(next(self._numbers))
            actor = ray.remote(max_restarts=0, scheduling_strategy="SPREAD", **needs)(self.kind)
            self._actors[name] = actor.remote(self._recipe)
            self._out[self._actors[name].load.remote()] = (name, None)

    def _room(self) -> tuple[bool, int]:
        """Whether workers get an accelerator each, and how many workers the cluster has room for.

        A lost node may take what it had with it for a moment: actors are never ended for that.
        """
        has = ray.cluster_resources()
        asked = self._recipe.checkpoint.device.partition(":")[0]
        accelerators = int(has.get("GPU", 0))
        if asked == "cuda" or (asked == "auto" and accelerators):
            return True, accelerators
        return False, int(has.get("CPU", 0)) // self._cores

    def _say_waiting(self) -> None:
        loading = [worker for worker, piece in self._out.values() if piece is None]
        if len(loading) == len(self._actors) and (
            time.monotonic() - self._said > _SECONDS_BETWEEN_LINES
        ):
            self._said = time.monotonic()
            logger.warning(
                "no worker has begun yet: %d are loading or wait for room in the cluster (free: "
                "%s)",
                *(len(loading), _in_words(ray.available_resources())),
            )


def _reason(error: RayError) -> str:
    """What follows `because` in a page of text, else its first line."""
    said = str(error)
    reason = said.partition(" because ")[2].partition(". ")[0]
    return " ".join(reason.split()) or (said.splitlines() or [type(error).__name__])[0]


def _in_words(resources: dict[str, float]) -> str:
    named = (f"{resources.get(name, 0):g} {name}" for name in ("GPU", "CPU"))
    return ", ".join(named)
