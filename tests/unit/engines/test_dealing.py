"""What is dealt to workers that come, go and die, without any worker."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.engines.dealing import DEATHS, MOST_SAMPLES, Dealer, Piece
from mmflow_bench.engines.fleet import IN_HAND, Dealing, Finished, Lost, Ready

CLUSTERS = st.lists(st.integers(1, 4), max_size=25).map(
    lambda sizes: [[f"{image}.{n}" for n in range(size)] for image, size in enumerate(sizes)]
)


class Imagined:
    """Workers that measure, die by chance, and always die over some items."""

    def __init__(self, workers: int, *, draw: random.Random, chance: float, poisoned: set) -> None:
        self._draw, self._chance, self._poisoned = draw, chance, poisoned
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
        is_poisoned = bool(hand) and not self._poisoned.isdisjoint(hand[0].items)
        if is_poisoned or self._draw.random() < self._chance:
            yield self._died(worker, is_own_death=is_poisoned)
        elif hand:
            self.measured.update(hand[0].items)
            yield Finished(worker, hand.pop(0))

    def _died(self, worker: str, *, is_own_death: bool) -> Lost:
        self.deaths += 1
        for piece in self._hands.pop(worker)[:1]:
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


@given(CLUSTERS, st.integers(1, 3), st.integers(0, 99), st.data())
def test_an_item_that_kills_is_given_up_and_all_others_are_measured(
    clusters: list[list[str]], workers: int, seed: int, data: st.DataObject
) -> None:
    items = [item for cluster in clusters for item in cluster]
    poisoned = data.draw(st.sets(st.sampled_from(items), max_size=3)) if items else set()
    fleet = Imagined(workers, draw=random.Random(seed), chance=0.0, poisoned=poisoned)
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


def test_what_a_dead_worker_had_not_begun_is_not_blamed() -> None:
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
    assert again == {("a",): 1, ("b",): 0, ("c",): 0}


def test_nothing_to_do_waits_for_no_worker() -> None:
    class Nobody:
        def give(self, worker: str, piece: Piece[str]) -> None:
            pytest.fail(f"{worker} was given {piece}")

        def events(self, patience: float) -> list:
            pytest.fail(f"waited {patience} for nothing")

    Dealing(Nobody()).run(Dealer([]), is_stopped=lambda: False)
