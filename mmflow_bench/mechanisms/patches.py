"""What is told of a task's patches: how many show what is asked about, and how many are sinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.measurements.patch_areas import AreaTable
from mmflow_bench.measurements.patch_norms import NormTable
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.means import sample_mean
from mmflow_bench.mechanisms.verdicts import NotApplicable
from mmflow_bench.positions.sinks import MASSIVE, PAPER_PATCHES, PAPER_THRESHOLD

BINS_PER_THRESHOLD, BINS = 20, 40
"""Of the distribution of norms, as multiples of the threshold; the last bin has all beyond."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Areas:
    """Shares of an image's patches, means over samples."""

    table: AreaTable
    alpha: float

    @property
    def related(self) -> Estimate:
        """Share of the patches that show what is asked about."""
        return self._share("related patches", self.table.related)

    @property
    def padding(self) -> Estimate:
        """Share of the patches that show nothing of the photo."""
        return self._share("patches of padding", self.table.padding)

    @property
    def related_to_other(self) -> Estimate:
        """Related patches for each other one, as a ratio of both shares."""
        other = self._share("other patches", self.table.patches - self.table.related)
        return self.related / other

    def _share(self, of: str, counts: ndarray) -> Estimate:
        return sample_mean(
            counts / self.table.patches,
            self.table.image_ids,
            name=f"share of {of} on {self.table.task}",
            unit="fraction",
            bounds=(0.0, 1.0),
            alpha=self.alpha,
        )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Norms:
    """Patches with outstanding norms, means over samples."""

    table: NormTable
    alpha: float

    @property
    def sinks(self) -> Estimate:
        """Patches whose norm before the projector is above the threshold, of 576."""
        return self._count("sinks", self.table.tower)

    @property
    def sinks_projected(self) -> Estimate:
        """Patches whose norm after the projector is above the same threshold, of 576."""
        return self._count("sinks after the projector", self.table.projected)

    @property
    def outstanding(self) -> Estimate:
        """The largest norm before the projector, in multiples of the image's median norm.

        Its curve is the distribution of norms in `BINS` steps of threshold / `BINS_PER_THRESHOLD`.
        """
        ratios = [_outstanding(norms) for norms in self.table.tower]
        estimate = self._mean("largest norm over the median", np.array(ratios), lowest=1.0)
        return replace(estimate, curve=self.distribution)

    @property
    def distribution(self) -> tuple[float, ...]:
        """Mean share of the patches by norm before the projector, as multiples of the threshold."""
        shares = [
            np.bincount(_bins(norms / threshold), minlength=BINS) / len(norms)
            for norms, threshold in zip(self.table.tower, self.table.threshold, strict=True)
        ]
        return tuple(np.mean(shares, axis=0).tolist())

    def require_papers_threshold(self) -> Norms:
        """Refuse towers whose norms are not those that the paper looks at.

        Raises:
            NotApplicable: It is another one.
        """
        if not (self.table.threshold == PAPER_THRESHOLD).all():
            raise NotApplicable("the paper says this of norms of CLIP ViT-L/14-336 only")
        return self

    def require_sinks(self) -> Norms:
        """Refuse samples none of which has a sink: nothing would be left out.

        Raises:
            NotApplicable: There is none.
        """
        above = zip(self.table.tower, self.table.threshold, strict=True)
        if not any((norms > threshold).any() for norms, threshold in above):
            raise NotApplicable(f"no patch of {self.table.task} has an outstanding norm")
        return self

    def require_decoder_sinks(self) -> Norms:
        """Refuse samples none of which has a massive patch.

        Raises:
            NotApplicable: There is none.
        """
        if not any((massive >= MASSIVE).any() for massive in self.table.massive):
            raise NotApplicable(
                f"no patch of {self.table.task} is massive where the first position is"
            )
        return self

    def _count(self, of: str, norms: Sequence[Float[ndarray, "_"]]) -> Estimate:
        pairs = zip(norms, self.table.threshold, strict=True)
        shares = np.array([float((each > threshold).mean()) for each, threshold in pairs])
        estimate = self._mean(f"{of} among {PAPER_PATCHES} patches", PAPER_PATCHES * shares)
        return replace(estimate, curve=self.distribution)

    def _mean(
        self, what: str, values: Float[ndarray, "sample"], *, lowest: float = 0.0
    ) -> Estimate:
        """An unseen image may have anything from `lowest` to the most that was seen."""
        return sample_mean(
            values,
            self.table.image_ids,
            name=f"{what} on {self.table.task}",
            unit="ratio",
            bounds=(lowest, float(values.max())),
            alpha=self.alpha,
        )


def _outstanding(norms: Float[ndarray, "_"]) -> float:
    median = float(np.median(norms))
    return float(norms.max()) / median if median else 1.0


def _bins(multiples: Float[ndarray, "_"]) -> ndarray:
    return np.asarray(np.minimum(BINS_PER_THRESHOLD * multiples, BINS - 1), dtype=int)
