"""The governor without calls: the test decides when each starts, and what its headers say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift_jobs.revenuecat_sync.revenuecat.budget import COMPANY_S, NEVER, SAVED
from nightshift_jobs.revenuecat_sync.revenuecat.governor import CUSTOMERS, LOOK_S, Governor

LATENCY_S = 0.5


class Key:
    """A key with its limit of calls in any minute, and the clients that use it."""

    def __init__(self, limit=480, others=0):
        self.governor, self.now, self.limit, self.others = Governor(), 1_000_000.0, limit, others
        self.calls, self.refused = [], 0

    def wait_s(self, calls=3, in_flight=0):
        return self.governor.wait_s(self.now, calls, in_flight=in_flight)

    def usage(self):
        return self.others + sum(at > self.now - 60 for at in self.calls)

    def call(self, takes_s=LATENCY_S):
        """Make one call, of a user that was reserved or not."""
        started_at = self.now
        self.governor.start(started_at, CUSTOMERS)
        is_refused = self.usage() >= self.limit
        usage = self.usage() + 1
        if not is_refused:
            self.calls.append(started_at)
        self.now += takes_s
        if is_refused:
            self.refused += 1
            self.governor.refuse(self.now, CUSTOMERS, None)
            return
        self.governor.finish(self.now, CUSTOMERS, started_at, usage=usage, limit=self.limit, answered=True)

    def use_up(self, calls=3):
        """Make calls until the next user has to wait. Return their number and the wait."""
        before = len(self.calls)
        while (wait_s := self.wait_s(calls)) <= 0:
            for _ in range(calls):
                self.call(takes_s=0.02)
        return len(self.calls) - before, wait_s


def test_alone_the_limit_is_used_but_for_a_reserve():
    key = Key()
    made, wait_s = key.use_up()
    assert 480 - 4 - 3 <= made <= 480 - 4
    assert 60.5 - made * 0.02 - 2 < wait_s <= 60.5


def test_the_first_user_goes_alone_and_later_ones_side_by_side():
    key = Key()
    assert key.wait_s(in_flight=0) == 0
    assert key.wait_s(in_flight=1) == NEVER
    key.call()
    assert key.wait_s(in_flight=20) == 0


def test_after_a_silence_one_user_goes_alone_a_latency_early_from_the_reserve():
    key = Key()
    for _ in range(476):
        key.call(takes_s=0.01)
    key.now += 50
    wait_s = key.wait_s()
    first_leaves = key.calls[0] + 60.5
    assert key.now + wait_s == pytest.approx(first_leaves - key.governor.latency_s, abs=0.3)
    assert key.wait_s(in_flight=1) == NEVER


@pytest.mark.parametrize(
    ("limit", "latency_s", "at_once"), [(480, 0.1, 4), (480, 0.4, 17), (480, 0.8, 32), (480, 9, 64), (4800, 0.3, 32)]
)
def test_so_many_calls_run_side_by_side(limit, latency_s, at_once):
    key = Key(limit)
    key.call(takes_s=latency_s)
    assert key.governor.at_once() == at_once


def test_at_480_a_minute_never_more_than_32_unless_that_would_be_too_slow():
    for tenths in range(1, 32):
        key = Key()
        key.call(takes_s=tenths / 10)
        assert key.governor.at_once() <= 32


@pytest.mark.parametrize("others", [3, 100, 240, 400])
def test_with_company_one_sixteenth_of_the_limit_stays_free(others):
    key = Key(others=others)
    for _ in range(200):
        if (wait_s := key.wait_s()) > 0:
            key.now += wait_s
        for _ in range(3):
            key.call(takes_s=0.05)
        assert key.usage() <= 480 - 30
    assert key.refused == 0


def test_while_a_client_that_was_seen_is_away_one_eighth_stays_free():
    key = Key(others=100)
    key.call()
    key.others = 0
    key.now += 61
    for _ in range(200):
        if (wait_s := key.wait_s()) > 0:
            key.now += wait_s
        for _ in range(3):
            key.call(takes_s=0.05)
    assert 480 - 60 - 6 < max_in_a_minute(key.calls) <= 480 - 60


def max_in_a_minute(calls):
    return max(sum(at - 60 < other <= at for other in calls) for at in calls)


def test_with_company_the_calls_are_spread_over_the_minute():
    key = Key(others=100)
    key.call()
    made, _ = key.use_up()
    assert made <= (480 - 30 - 100) / 3 + 3


def test_company_is_remembered_because_it_comes_back():
    key = Key(others=100)
    key.call()
    key.others, key.now = 0, key.now + 61
    key.call()
    made, _ = key.use_up()
    assert made < 200
    key.now += COMPANY_S + 61
    key.call()
    assert key.use_up()[0] > 400


def test_five_calls_a_minute_are_one_user():
    key = Key(others=475)
    key.call()
    ended_at, done = key.now + 600, 0
    while key.now < ended_at:
        if (wait_s := key.wait_s()) > 0:
            key.now += wait_s
            continue
        done += 1
        for _ in range(3):
            key.call(takes_s=0.1)
    assert done >= 8
    assert key.refused == 0


def test_a_full_limit_is_looked_at_again():
    key = Key(others=480)
    key.call()
    assert key.refused == 1
    key.now += 2
    assert LOOK_S - 3 < key.wait_s() <= LOOK_S


def test_refusals_without_a_back_off_block_longer_each_time():
    key = Key(others=480)
    waits = []
    for _ in range(9):
        waits.append(key.governor.refuse(key.now, CUSTOMERS, None))
        key.now += 100
    assert waits == [1, 4, 16, 61, 61, 61, 61, 61, 61]


def test_after_a_refusal_there_is_room_before_a_begun_user_goes_on():
    key = Key()
    key.use_up()
    key.others = 480 - len(key.calls)
    key.now = key.calls[0] + 59
    key.call()
    assert key.refused == 1
    key.now += key.governor.wait_for_a_call_s(key.now, CUSTOMERS)
    assert key.limit - key.usage() >= 480 // 16


def test_a_higher_limit_needs_no_larger_reserve_for_a_look():
    key = Key(limit=4800)
    while key.wait_s() <= 0:
        key.call(takes_s=0.005)
    assert 4800 - 8 - 3 < key.usage() <= 4800 - 8


def test_a_hold_is_for_both_budgets_and_the_longest_counts():
    key = Key()
    key.governor.refuse(key.now, CUSTOMERS, 30)
    key.governor.refuse(key.now, CUSTOMERS, 10)
    assert key.wait_s() == 30
    assert key.governor.wait_for_a_call_s(key.now, "project configuration") == 30


@given(st.lists(st.floats(0, 3), max_size=400), st.integers(0, 400))
def test_the_next_slice_knows_what_the_last_one_knew(pauses, others):
    key = Key(limit=4800, others=others)
    for pause in pauses:
        key.now += pause
        key.call()
    saved = json.loads(json.dumps(key.governor.saved(key.now)))
    assert len(saved["budgets"][CUSTOMERS]["own"]) <= SAVED
    kept = Governor(saved)
    for ahead in (0, 1, 30, 61):
        before, after = (each.wait_s(key.now + ahead, 3, in_flight=0) for each in (key.governor, kept))
        assert after >= before - 0.02
        assert after <= before + 3 or after <= 61


@given(st.integers(20, 500), st.integers(0, 500), st.lists(st.floats(0, 20), max_size=100))
def test_alone_or_beside_steady_company_no_429_is_met(limit, others, pauses):
    key = Key(limit, others=min(others, limit - 4))
    for pause in pauses:
        key.now += pause
        if key.wait_s() <= 0:
            for _ in range(3):
                key.call()
    assert key.refused == 0


def test_a_clock_that_is_set_back_blocks_nothing():
    key = Key()
    for _ in range(480):
        key.call(takes_s=0)
    key.now -= 3600
    assert key.wait_s() == 0
