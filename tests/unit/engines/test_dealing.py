"""What is dealt to workers that come, go and die, without any worker."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmflow_bench.engines.dealing import DEATHS, MOST_SAMPLES, Dealer, Piece
from mmflow_bench.engines.fleet import IN_HAND, LEAST_WAIT, Dealing, Finished, Lost, Ready

CLUSTERS = st.lists(st.integers(1, 4), max_size=25).map(
    lambda sizes: [[f"{image}.{n}" for n in range(size)] for image, size in enumerate(sizes)]
)


class Imagined:
    """Workers that measure, die by chance, and always die over some items.

    With `is_unheard` nobody learns of what was finished before an item that kills.
    """

    def __init__(
        self,
        workers: int,
        *,
        draw: random.Random,
        chance: float,
        poisoned: set,
        is_unheard: bool = False,
    ) -> None:
        self._draw, self._chance, self._poisoned = draw, chance, poisoned
        self._is_unheard = is_unheard
        self._hands: dict[str, list[Piece[str]]] = {}
        self._born = workers
        self._starting = [str(number) for number in range(workers)]
        self.measured: Counter[str] = Counter()
        self.deaths = 0
        self.lost_with: Counter[str] = Counter()

    def give(self, worker: str, piece: Piece[str]) -> None:
        self._hands[worker].append(piece)
        assert len(self._hands[worker]) <= IN_HAND

    def events(self, patience: float) -> Iterator[Ready | Finished[str] | Lost]:
        assert patience > 0
        if self._starting:
            worker = self._starting.pop()
            self._hands[worker] = []
            yield Ready(worker)
            return
        worker = self._draw.choice(sorted(self._hands))
        hand = self._hands[worker]
        at = 1 if self._is_unheard and self._is_poisoned(hand[1:]) else 0
        is_poisoned = self._is_poisoned(hand[at:])
        if is_poisoned or self._draw.random() < self._chance:
            yield self._died(worker, at, is_own_death=is_poisoned)
        elif hand:
            self.measured.update(hand[0].items)
            yield Finished(worker, hand.pop(0))

    def _is_poisoned(self, hand: list[Piece[str]]) -> bool:
        return bool(hand) and not self._poisoned.isdisjoint(hand[0].items)

    def _died(self, worker: str, at: int, *, is_own_death: bool) -> Lost:
        self.deaths += 1
        for piece in self._hands.pop(worker)[at : at + 1]:
            self.lost_with.update(piece.items)
        self._born += 1
        self._starting.append(str(self._born))
        return Lost(worker, "it died", is_own_death)


def dealt(clusters: list[list[str]], fleet: Imagined, stop_after: int = 10**9) -> Dealer[str]:
    dealer = Dealer(clusters)
    Dealing(fleet).run(dealer, is_stopped=lambda: dealer.done >= stop_after)
    return dealer


@given(CLUSTERS, st.integers(1, 5), st.integers(0, 99), st.sampled_from([0.0, 0.1, 0.4]))
def test_everything_is_measured_whoever_is_taken_away(
    clusters: list[list[str]], workers: int, seed: int, chance: float
) -> None:
    fleet = Imagined(workers, draw=random.Random(seed), chance=chance, poisoned=set())
    dealer = dealt(clusters, fleet)
    items = [item for cluster in clusters for item in cluster]
    assert dealer.done == dealer.total == len(items)
    assert not dealer.given_up
    # A piece that came back as done is never dealt again.
    assert fleet.measured == Counter(items)


@given(CLUSTERS, st.integers(1, 3), st.integers(0, 99), st.booleans(), st.data())
def test_an_item_that_kills_is_given_up_and_all_others_are_measured(
    clusters: list[list[str]], workers: int, seed: int, is_unheard: bool, data: st.DataObject
) -> None:
    items = [item for cluster in clusters for item in cluster]
    poisoned = data.draw(st.sets(st.sampled_from(items), max_size=3)) if items else set()
    draw = random.Random(seed)
    fleet = Imagined(workers, draw=draw, chance=0.0, poisoned=poisoned, is_unheard=is_unheard)
    dealer = dealt(clusters, fleet)
    assert set(dealer.given_up) == poisoned
    assert fleet.measured == Counter(set(items) - poisoned)
    # One death may tell of a piece of several only that it has a bad one.
    assert all(count <= DEATHS + 2 for one, count in fleet.lost_with.items() if one in poisoned)


def test_an_item_is_set_aside_after_two_deaths_and_tried_once_more_when_all_else_is_done() -> None:
    dealer = Dealer([["bad"], ["good"]])
    for _ in range(DEATHS):
        piece = dealer.next(1)
        assert piece is not None
        assert piece.items == ("bad",)
        dealer.lose(piece, is_blamed=True)
    good = dealer.next(1)
    assert good is not None
    assert good.items == ("good",)
    assert dealer.next(1) is None
    dealer.finish(good)
    last = dealer.next(1)
    assert last is not None
    assert last.items == ("bad",)
    assert not dealer.is_over
    dealer.lose(last, is_blamed=True)
    assert dealer.is_over
    assert dealer.given_up == ["bad"]


def test_a_worker_that_was_taken_away_blames_nothing() -> None:
    dealer = Dealer([["a"]])
    for _ in range(10):
        piece = dealer.next(1)
        assert piece is not None
        dealer.lose(piece, is_blamed=False)
    assert dealer.waiting == 1
    assert not dealer.given_up


@given(CLUSTERS, st.integers(1, 9))
def test_images_stay_together_and_pieces_get_smaller(
    clusters: list[list[str]], workers: int
) -> None:
    dealer = Dealer(clusters)
    pieces = list(iter(lambda: dealer.next(workers), None))
    items = [item for cluster in clusters for item in cluster]
    assert [item for piece in pieces for item in piece.items] == items
    for piece in pieces:
        whole = {item.partition(".")[0] for item in piece.items}
        assert len(piece.items) == sum(len(clusters[int(image)]) for image in whole)
        assert len(piece.items) <= MOST_SAMPLES or len(whole) == 1
    if len(pieces) > workers and all(len(one) == 1 for one in clusters):
        assert len(pieces[-1].items) == 1


@given(CLUSTERS, st.integers(1, 4), st.integers(0, 20))
def test_what_is_out_when_it_is_stopped_comes_back_and_no_more_is_dealt(
    clusters: list[list[str]], workers: int, after: int
) -> None:
    fleet = Imagined(workers, draw=random.Random(1), chance=0.0, poisoned=set())
    dealer = dealt(clusters, fleet, stop_after=after)
    assert dealer.is_over
    assert dealer.done == fleet.measured.total()
    most = after + (workers * IN_HAND + 1) * MOST_SAMPLES
    assert min(after, dealer.total) <= dealer.done <= most


def test_all_that_a_dead_worker_had_is_blamed_since_it_may_have_finished_unheard() -> None:
    class Twice:
        """Gives one worker two pieces, and loses it."""

        def __init__(self) -> None:
            self.given: list[Piece[str]] = []
            self._events = [Ready("1"), Lost("1", "it died", is_own_death=True)]
            self._more = iter([Ready("2")])

        def give(self, worker: str, piece: Piece[str]) -> None:
            self.given.append(piece)
            if worker == "2":
                self._events.append(Finished(worker, piece))

        def events(self, patience: float) -> list:
            assert patience > 0
            found, self._events = self._events[:1], self._events[1:]
            return found or list(self._more)

    fleet = Twice()
    dealer = Dealer([["a"], ["b"], ["c"]])
    Dealing(fleet).run(dealer, is_stopped=lambda: False)
    again = {piece.items: piece.deaths for piece in fleet.given[2:]}
    assert again == {("a",): 1, ("b",): 1, ("c",): 0}


def test_nothing_to_do_waits_for_no_worker() -> None:
    class Nobody:
        def give(self, worker: str, piece: Piece[str]) -> None:
            pytest.fail(f"{worker} was given {piece}")

        def events(self, patience: float) -> list:
            pytest.fail(f"waited {patience} for nothing")

    Dealing(Nobody()).run(Dealer([]), is_stopped=lambda: False)


class Slow:
    """Workers that take a second for an item, and one or more that take much longer."""

    def __init__(self, workers: int, takes: dict[str, float]) -> None:
        self.now = 0.0
        self._takes = takes
        self._starting = [str(number) for number in range(workers)]
        self._hands: dict[str, list[Piece[str]]] = {one: [] for one in self._starting}
        self._begun = dict.fromkeys(self._starting, 0.0)
        self.measured: Counter[str] = Counter()

    def recover(self) -> None:
        self._takes = {}

    def begin_again(self, takes: dict[str, float]) -> None:
        self.now, self._takes = 0.0, takes
        self.measured.clear()

    def give(self, worker: str, piece: Piece[str]) -> None:
        if not self._hands[worker]:
            self._begun[worker] = self.now
        self._hands[worker].append(piece)

    def _ends(self, worker: str) -> float:
        each = self._takes.get(worker, 1.0)
        return self._begun[worker] + each * len(self._hands[worker][0].items)

    def events(self, patience: float) -> Iterator[Ready | Finished[str]]:
        if self._starting:
            yield Ready(self._starting.pop())
            return
        busy = {worker: self._ends(worker) for worker, hand in self._hands.items() if hand}
        first = min(busy, key=lambda worker: busy[worker], default=None)
        if first is None or busy[first] > self.now + patience:
            self.now += patience
            return
        self.now = self._begun[first] = max(self.now, busy[first])
        piece = self._hands[first].pop(0)
        self.measured.update(piece.items)
        yield Finished(first, piece)


@given(CLUSTERS, st.integers(2, 4), st.sampled_from([8.0, 40.0, 1e9]), st.integers(1, 3))
# The slow one has done something before: that it takes as long as ever is no excuse.
@example(clusters=[["0"], ["1"], ["2", "3", "4"]], workers=2, slowness=40.0, slow=1)
def test_nobody_waits_for_a_worker_that_takes_far_longer(
    clusters: list[list[str]], workers: int, slowness: float, slow: int
) -> None:
    # The last ones to start are given pieces first.
    names = [str(number) for number in range(workers)]
    takes = dict.fromkeys(names[::-1][: min(slow, workers - 1)], slowness)
    fleet = Slow(workers, {})
    dealing = Dealing(fleet, clock=lambda: fleet.now)
    # How long a sample takes is known from then on.
    dealing.run(Dealer([["first"]]), is_stopped=lambda: False)
    fleet.begin_again(takes)
    dealer = Dealer(clusters)
    dealing.run(dealer, is_stopped=lambda: False)
    items = [item for cluster in clusters for item in cluster]
    assert dealer.done == dealer.total == len(items)
    assert set(fleet.measured) == set(items)
    again = fleet.measured.total() - len(items)
    assert again <= len(takes) * MOST_SAMPLES * IN_HAND
    alone = len(items) / (workers - len(takes))
    assert fleet.now <= alone + len(takes) * (LEAST_WAIT + 6 * MOST_SAMPLES)


def test_a_piece_that_comes_back_late_is_counted_once_and_its_worker_goes_on() -> None:
    fleet = Slow(2, {"1": 300.0})
    dealing = Dealing(fleet, clock=lambda: fleet.now)
    first = Dealer([["a"], ["b"], ["c"]])
    dealing.run(first, is_stopped=lambda: False)
    assert first.done == 3
    assert dealing.workers == 1
    # What comes back now is of a round that is over; from then on it is as fast as the other.
    fleet.recover()
    second = Dealer([[str(n)] for n in range(60)])
    dealing.run(second, is_stopped=lambda: False)
    assert second.done == 60
    assert dealing.workers == 2
    assert 3 < sum(fleet.measured[one] for one in "abc") <= 3 + IN_HAND
    assert dealing.hours == pytest.approx(2 * fleet.now / 3600, rel=0.1)


def test_all_that_is_out_with_a_worker_that_hangs_is_left_when_somebody_wants_to_stop() -> None:
    fleet = Slow(2, {"1": 1e9})
    dealer = Dealer([[str(n)] for n in range(40)])
    Dealing(fleet, clock=lambda: fleet.now).run(dealer, is_stopped=lambda: dealer.done >= 5)
    assert dealer.is_over
    assert 5 <= dealer.done < 40
