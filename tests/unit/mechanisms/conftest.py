"""Checkpoints as closed-form curves: information flows that are known, for every mechanism."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from mmflow_bench.inputs.samples import SIX_TASKS, Sample
from mmflow_bench.interventions.knockout import layer_window
from mmflow_bench.measurements.anatomy import Anatomy, AnatomyTable
from mmflow_bench.measurements.blind import Blind, Blinding, BlindTable
from mmflow_bench.measurements.first_token import FirstToken
from mmflow_bench.measurements.knockout_sweep import Sweep, SweepTable
from mmflow_bench.measurements.last_piece import LastPiece
from mmflow_bench.measurements.lens import Lens, LensTable
from mmflow_bench.measurements.long_answer import LongAnswer, LongAnswerTable
from mmflow_bench.measurements.question_semantics import QuestionSemantics, SemanticsTable
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.comparisons import Recorder, current_recorder
from mmflow_bench.mechanisms.declared import DeclaredTest, shipped
from mmflow_bench.mechanisms.declaring import require_applicable
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.verdicts import Inconclusive, NotApplicable, Reported
from mmflow_bench.names import matches

LAYERS = 40
CONTEXT, ATTRIBUTE = 3.888, 2.25
"""Logits that the two transfers bring: chosen for drops of 60% and 21%."""
COMPETITORS = 15.0
LENS_COMPETITORS = 30.0
EMPTY_TEXTS = ("question_ids", "image_ids", "answer_token_ids")


@dataclass(frozen=True)
class Known:
    """Where information flows in a synthetic checkpoint."""

    first: int | None = 0
    first_to: int | None = None
    """Last layer of a first transfer that takes equal parts in all layers from `first`."""
    first_from: str = "other_patches"
    second: int | None = 10
    second_from: str = "related_patches"
    read: range = range(13, 34)
    reader: str = "question"
    direct: float = 0.0
    self_loop: int | None = None
    lower: str = "moved"
    upper_bump: float = 0.0
    first_amount: float = CONTEXT
    caption_read: frozenset[int] = frozenset()
    says: Mapping[str, tuple[float, float]] | None = field(
        default_factory=lambda: {"mlp": (0.9, 0.25), "attention": (0.6, 0.1)}
    )
    """What the question loses without a module, at first and at last; None if it says nothing."""

    def lost(self, edge: str, window: range) -> float:
        """Logits of the answer that are lost when an edge is cut in a window."""
        source, _, target = edge.partition("->")
        everything = CONTEXT + ATTRIBUTE
        share = len(set(window) & set(self.read)) / len(self.read)
        if edge == "last->last":
            return everything if self.self_loop in window else 0.0
        if source == "caption":
            return everything * len(set(window) & self.caption_read) / 6
        if target == "last":
            part = {"question": 1.0, "image": self.direct}.get(source, 0.0)
            if self.reader != "question":
                part = 1.0 if source == self.reader else 0.0
            return everything * part * share
        if target != "question" or self.reader == "image":
            return 0.0
        lost = 0.0
        for amount, layer, patches in (
            (self.first_amount, self.first, self.first_from),
            (ATTRIBUTE, self.second, self.second_from),
        ):
            if layer is None or source not in {"image", patches}:
                continue
            last = self.first_to if layer == self.first and self.first_to else layer
            layers = range(layer, last + 1)
            lost += amount * len(set(window) & set(layers)) / len(layers)
        return lost

    def lens(self, probe: str) -> np.ndarray:
        """Probability of a probe by depth."""
        depth = np.arange(LAYERS + 1)
        written = np.clip((depth - self.read[0]) / len(self.read), 0, 1) * (CONTEXT + ATTRIBUTE)
        moved = np.interp(depth, [35, 39], [0, 1])
        if self.lower == "nothing":
            written = np.zeros(LAYERS + 1)
        if self.lower == "never":
            moved = np.ones(LAYERS + 1)
        if self.lower == "kept":
            moved = np.interp(depth, [35, 39], [0, 0.65])
        logits = {"noncapitalized": written * (1 - moved), "capitalized": written * moved}
        logits["capitalized"] += self.upper_bump * ((depth > 9) & (depth < 20))
        logits["answer"] = logits["capitalized"]
        total = sum(np.exp(logits[case]) for case in ("noncapitalized", "capitalized"))
        own = np.exp(logits[probe]) if probe in logits else 1.0
        return own / (total + LENS_COMPETITORS)


BASE = Known()
KNOWN: Mapping[str, Known] = {
    "base": BASE,
    "no_stage1": replace(BASE, first=None),
    "no_stage2": replace(BASE, second=None),
    "single_stage": replace(BASE, second=0),
    "swapped": replace(BASE, first=10, second=0),
    "late_stage2": replace(BASE, second=22, read=range(24, 34)),
    "st1_related": replace(BASE, first_from="related_patches"),
    "stage2_from_other": replace(BASE, second_from="other_patches"),
    "direct": replace(BASE, reader="image"),
    "img_last_too": replace(BASE, direct=0.6),
    "suffix_readout": replace(BASE, reader="suffix"),
    "early_ql": replace(BASE, read=range(11, 14)),
    "order_rev": replace(BASE, read=range(3, 6), first=10, second=14),
    "self_loop": replace(BASE, self_loop=34),
    "no_lower": replace(BASE, lower="never"),
    "lower_kept": replace(BASE, lower="kept"),
    "upper_early": replace(BASE, upper_bump=2.5),
    "nothing": replace(BASE, first=None, second=None, reader="nobody", lower="nothing", says=None),
    "captions": replace(BASE, caption_read=frozenset(range(2, 8))),
    "weak_stage1": replace(BASE, first_amount=1.5),
}


class SyntheticMeasurements:
    """Tables of a synthetic checkpoint, with noise between samples and between layers."""

    def __init__(
        self,
        known: Known,
        *,
        n: int = 200,
        noise: float = 1e-6,
        spread: float = 0.0,
        paper_model: str | None = None,
        captions: bool = False,
        blind_of_ten: int = 0,
    ) -> None:
        self.known, self.n, self.noise, self.spread = known, n, noise, spread
        self.paper_model = paper_model
        self.tasks: tuple[str, ...] = SIX_TASKS
        self.known_tasks: tuple[str, ...] = SIX_TASKS
        self.decoder_layers, self.width, self.noise_floor = LAYERS, 9, 1e-6
        self.captions, self.blind_of_ten = captions, blind_of_ten
        self.asked: dict[str, tuple[Sample, ...]] = {}
        self.built: dict[str, Any] = {}
        self.accuracy_of_all = 1.0
        self.lenses = ("normed", "raw")
        self.first_tokens: tuple[str, ...] = ("\n",) * 100
        self.last: SyntheticMeasurements | None = None
        """What the last piece of answers does; None where they have one piece."""
        self.long_drop: float | None = None
        """What generated words lose in the middle layers; None where there is one word."""

    def ensure(self, task: str, wants: Collection[Want[object]] = ()) -> None:  # noqa: ARG002
        assert task in self.tasks

    def refusals(self, task: str) -> dict[str, dict[str, int]]:  # noqa: ARG002
        return {}

    def questions(self, task: str) -> tuple[Sample, ...]:
        return self.asked.get(task, ())

    def part(self) -> SyntheticMeasurements:
        return self

    def table(self, task: str, want: Want[Any]) -> Any:
        if isinstance(want, Sweep):
            width = want.scaled(LAYERS).at(self.width).width or 1
            return self.sweep(task, want.name, width=width, method=want.method)
        if isinstance(want, LastPiece):
            first = self.table(task, want.sweep)
            # Answers of one piece have no last one.
            other = replace(first, **dict.fromkeys(EMPTY_TEXTS, ()), **self._empty(first))
            return other if self.last is None else self.last.table(task, want.sweep)
        if isinstance(want, LongAnswer):
            return self.long(task, want)
        if isinstance(want, FirstToken):
            return replace(want.example(task, LAYERS), texts=self.first_tokens)
        if isinstance(want, Anatomy):
            return self.anatomy(task, want)
        if isinstance(want, Blind):
            return self.blind(task, want.blinding)
        if isinstance(want, QuestionSemantics):
            return self.semantics(task, want)
        if isinstance(want, Lens):
            return self.lens(task, probe=want.probe, variant=want.variant)
        return want.example(task, LAYERS)

    def anatomy(self, task: str, want: Anatomy) -> AnatomyTable:
        """LLaVA-1.5, or what `built` says of it."""
        one = want.example(task, LAYERS)
        repeated = {
            name: np.repeat(getattr(one, name), self.n)
            for name in ("is_correct", "image_positions")
        }
        ids = tuple(f"{task}{i}" for i in range(self.n))
        return replace(one, question_ids=ids, image_ids=ids, **repeated | self.built)

    def accuracy(self, task: str) -> AnswerCount:
        correct = round(self.n * self.accuracy_of_all)
        return AnswerCount(task=task, selected=self.n, correct=correct, unscored={})

    def sweep(self, task: str, edge: str, *, width: int, method: str = "masked") -> SweepTable:
        generator = np.random.default_rng([len(edge), SIX_TASKS.index(task), self.n, width])
        wrong = "image" if self.captions else "caption"
        n = 0 if wrong in edge or (self.captions and "patches" in edge) else self.n
        windows = [layer_window(center, width, LAYERS) for center in range(LAYERS)]
        lost = np.array([self.known.lost(edge, window) if n else 0.0 for window in windows])
        full = CONTEXT + ATTRIBUTE
        scale = np.exp(self.spread * generator.standard_normal((n, 1)))
        kept = np.exp(full - np.minimum(full, lost * scale))
        change = kept / (kept + COMPETITORS) * (np.exp(full) + COMPETITORS) / np.exp(full) - 1
        change = change + (edge != "question->image") * self.noise * generator.standard_normal(
            change.shape
        )
        base = np.full(n, 0.5)
        return SweepTable(
            edge=edge,
            task=task,
            window=width,
            method=method,
            question_ids=tuple(f"{task}{i}" for i in range(n)),
            image_ids=tuple(f"{task}{i - i % 5 // 4}" for i in range(n)),
            answer_token_ids=(1,) * n,
            base_probability=base,
            knockout_probability=base[:, None] * (1 + change),
        )

    def semantics(self, task: str, want: QuestionSemantics) -> SemanticsTable:
        """Modules lose less and less; an edge loses as much of the words as of the answer."""
        ends = self.known.says
        if ends is None:
            n, lost = 0, np.zeros(LAYERS)
        elif want.without in ends:
            n, lost = self.n, np.linspace(*ends[str(want.without)], LAYERS)
        else:
            sweep = self.sweep(task, str(want.without), width=want.width or self.width)
            n = len(sweep.question_ids)
            lost = -sweep.relative_change.mean(axis=0) if n else np.zeros(LAYERS)
        generator = np.random.default_rng([len(str(want.without)), SIX_TASKS.index(task), self.n])
        noise = self.noise * generator.standard_normal((n, LAYERS))
        similarity = np.clip(1 - lost + noise, 0, 1)
        return SemanticsTable(
            without=str(want.without),
            task=task,
            window=want.width or self.width,
            question_ids=tuple(f"{task}{i}" for i in range(n)),
            image_ids=tuple(f"{task}{i - i % 5 // 4}" for i in range(n)),
            similarity=similarity,
            position_similarity=similarity,
        )

    @staticmethod
    def _empty(table: SweepTable) -> dict[str, np.ndarray]:
        names = ("base_probability", "knockout_probability")
        return {name: getattr(table, name)[:0] for name in names}

    def long(self, task: str, want: LongAnswer) -> LongAnswerTable:
        n = 0 if self.long_drop is None else self.n
        curve = np.where(np.abs(np.arange(LAYERS) - 18) < 6, -(self.long_drop or 0.0), 0.0)
        return replace(
            want.example(task, LAYERS),
            question_ids=tuple(f"{task}{i}" for i in range(n)),
            image_ids=tuple(f"{task}{i - i % 5 // 4}" for i in range(n)),
            relative_change=np.tile(curve, (n, 1)),
            names_objects=np.ones(n, bool),
        )

    def lens(self, task: str, *, probe: str, variant: str) -> LensTable:
        generator = np.random.default_rng([len(probe), len(variant), self.n])
        n = 0 if probe.startswith("false") and not task.startswith("Choose") else self.n
        probability = self.known.lens(probe) + self.noise * generator.standard_normal(
            (n, LAYERS + 1)
        )
        return LensTable(
            task=task,
            probe=probe,
            variant=variant,
            question_ids=tuple(f"{task}{i}" for i in range(n)),
            image_ids=tuple(f"{task}{i}" for i in range(n)),
            probability=probability,
            final_probability=probability[:, -1],
        )

    def blind(self, task: str, blinding: Blinding) -> BlindTable:
        n = 0 if self.captions else self.n
        return BlindTable(
            task=task,
            blinding=blinding,
            question_ids=tuple(f"{task}{i}" for i in range(n)),
            image_ids=tuple(f"{task}{i - i % 5 // 4}" for i in range(n)),
            is_correct=np.ones(n, bool),
            is_blind_correct=np.arange(n) % 10 < self.blind_of_ten,
            is_followed=np.ones(n, bool),
            base_probability=np.full(n, 0.5),
            blind_probability=np.full(n, 0.1),
        )


def verdict_of(test: DeclaredTest, flow: Flow, task: str) -> str:
    """The verdict of a test of the suites, as the plugin would give it."""
    token = current_recorder.set(Recorder())
    try:
        require_applicable(test.declaration, flow)
        test.function(flow, *([] if task == "all" else [task]))
    except Inconclusive as error:
        return str(error.verdict)
    except NotApplicable:
        return "not-applicable"
    except Reported:
        return "report"
    except AssertionError:
        return "fails"
    finally:
        current_recorder.reset(token)
    return "holds"


@pytest.fixture(scope="session")
def measured() -> Callable[..., SyntheticMeasurements]:
    """`measured(kind, changed={}, n=200, noise=1e-6, spread=0.0)`: a synthetic checkpoint.

    What is `changed` of the known flow of that name is by the fields of `Known`.
    """
    return lambda kind="base", changed=None, **options: SyntheticMeasurements(
        replace(KNOWN[kind], **(changed or {})), **options
    )


@pytest.fixture(scope="session")
def verdict() -> Callable[..., str]:
    """`verdict(name, measurements, task)`: that of one mechanism."""

    def decide(name: str, measurements: SyntheticMeasurements, task: str = "all") -> str:
        (test,) = (
            test
            for test in shipped()
            if test.declaration.id == name and task in test.declaration.tasks
        )
        return verdict_of(test, Flow(measurements), task)

    return decide


@pytest.fixture(scope="session")
def verdicts(
    measured: Callable[..., SyntheticMeasurements],
) -> Callable[..., dict[tuple[str, str], str]]:
    """`verdicts(kind, tasks=..., names=..., **options)`: (mechanism, task) -> verdict.

    Of the core, or of `names`, which are patterns of the only mechanisms that are asked. What
    several tests ask of one checkpoint is worked out once.
    """
    known: dict[str, dict[tuple[str, str], str]] = {}

    def decide(
        kind: str = "base",
        *,
        tasks: tuple[str, ...] = (*SIX_TASKS, "all"),
        names: tuple[str, ...] = (),
        **options: object,
    ) -> dict[tuple[str, str], str]:
        asked = repr((kind, tasks, names, sorted(options.items())))
        if asked in known:
            return known[asked]
        flow = Flow(measured(kind, **options))
        known[asked] = {
            (test.declaration.id, task): verdict_of(test, flow, task)
            for test in shipped()
            if (matches(test.declaration.id, names) if names else test.declaration.suite == "core")
            for task in test.declaration.tasks
            if task in tasks
        }
        return known[asked]

    return decide
