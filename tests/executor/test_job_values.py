"""The values that a job yields, waits for and stores, and its messages, at the limits of valid values."""

import json
import sys
import threading

import pytest

from nightshift.aws import queue, sqs
from nightshift.aws.aws_http import AwsUnreachable
from nightshift.aws.queue import Message
from nightshift.base import settings
from nightshift.base.errors import ConfigurationError, JobError
from nightshift.base.stored_json import MAX_BITS, MAX_DEPTH, shown, storable
from nightshift.jobs.author_api import MAX_COUNT, MAX_WAIT_S, Progress, Retry, Wait
from nightshift.runs.watchdog import NOTE_RESERVE_S, blocked_at, watching

RUN_ID = "00000000-0000-4000-8000-000000000001"


def progress(**changes):
    return Progress(**{"processed": 1, "total": 2, "message": "", "cursor": None} | changes)


def wait(**changes):
    return Wait(**{"seconds": 1, "why": "", "cursor": None} | changes)


class TestProgress:
    def test_the_largest_count_is_one_of_postgres(self):
        assert MAX_COUNT == 9_223_372_036_854_775_807
        assert progress(processed=MAX_COUNT).as_json()["total"] == MAX_COUNT
        for name in ("processed", "total"):
            for value in (MAX_COUNT + 1, True, "1"):
                with pytest.raises(JobError, match=f"^Progress.{name} must be a whole number"):
                    progress(**{name: value})

    def test_the_bar_stays_within_its_total(self):
        bars = [progress(processed=done, total=of).as_json() for done, of in ((-1, 5), (3, 5), (7, 5), (0, -1))]
        assert [(bar["processed"], bar["total"]) for bar in bars] == [(0, 5), (3, 5), (7, 7), (0, 0)]

    def test_a_message_is_text(self):
        assert progress(message="a\nb").as_json()["message"] == "a b"
        with pytest.raises(JobError, match=r"^Progress.message must be text, got int 7$"):
            progress(message=7)

    @pytest.mark.parametrize("make", [progress, wait])
    def test_a_cursor_is_the_steps_own(self, make):
        cursor = {"at": [1], "ä": None}
        step = make(cursor=cursor)
        cursor["at"].append(2)
        assert (step.cursor, step.cursor_text) == ({"at": [1], "ä": None}, '{"at": [1], "ä": null}')
        assert (make(cursor=None).cursor, make(cursor=None).cursor_text) == (None, None)
        assert (make(cursor={}).cursor, make(cursor={}).cursor_text) == ({}, "{}")
        with pytest.raises(JobError, match=r"cursor must be a dict or None, got list \[1\]$"):
            make(cursor=[1])

    @pytest.mark.parametrize("make", [progress, wait])
    def test_the_stored_text_is_no_part_of_a_steps_value(self, make):
        step = make(cursor={"a": 1, "b": 2})
        assert step == make(cursor={"b": 2, "a": 1})
        assert "cursor_text" not in repr(step)
        with pytest.raises(TypeError, match="cursor_text"):
            make(cursor_text="{}")


class TestWait:
    def test_it_is_less_than_a_leap_year(self):
        assert wait(seconds=0).seconds == 0
        assert wait(seconds=366 * 24 * 3600 - 1).seconds == MAX_WAIT_S - 1
        for seconds in (-0.1, MAX_WAIT_S, float("nan"), "5"):
            with pytest.raises(JobError, match=r"^Wait.seconds must be a number from 0 to 31622400, got"):
                wait(seconds=seconds)

    def test_it_says_why_and_where_the_bar_is(self):
        assert wait(why="a\nb", progress=progress()).why == "a b"
        with pytest.raises(JobError, match=r"^Wait.why must be text, got NoneType None$"):
            wait(why=None)
        with pytest.raises(JobError, match=r"^Wait.progress must be a Progress or None, got dict {}$"):
            wait(progress={})


class TestRetry:
    def test_its_numbers_are_within_reason(self):
        assert (Retry(attempts=100, delay_s=3600).attempts, Retry(attempts=0, delay_s=0).delay_s) == (100, 0)
        for attempts in (-1, 101, 1.0, True):
            with pytest.raises(ConfigurationError, match=r"^Retry.attempts must be a whole number from 0 to 100, got"):
                Retry(attempts=attempts)
        for delay_s in (-1, 3601, float("nan"), float("inf"), "5", None):
            with pytest.raises(ConfigurationError, match=r"^Retry.delay_s must be a number from 0 to 3600, got"):
                Retry(delay_s=delay_s)

    def test_each_delay_is_twice_the_one_before_up_to_an_hour(self):
        retry = Retry(attempts=11, delay_s=7)
        delays = [retry.delay_before(failure) for failure in range(1, 13)]
        assert delays == [7, 14, 28, 56, 112, 224, 448, 896, 1792, 3584, 3600, None]


def nested(kind, depth):
    value = 1
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


class TestStorable:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "null"),
            (True, "true"),
            ("ä", '"ä"'),
            ({"ä": [1, (2.5, None)]}, '{"ä": [1, [2.5, null]]}'),
            (9e15, "9000000000000000.0"),
            (1e16, "10000000000000000"),
            (-1e23, "-99999999999999991611392"),
            ({"ä": [0.5, 1e23, -2.5]}, '{"ä": [0.5, 99999999999999991611392, -2.5]}'),
            ("see+", '"see+"'),
            (2**MAX_BITS - 1, str(2**MAX_BITS - 1)),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_the_text_is_what_postgres_keeps(self, value, text):
        assert storable("It", value, max_bytes=10_000) == text

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (2**MAX_BITS, "It is a whole number of more than 900 digits"),
            (float("inf"), "It is inf, which JSON cannot represent"),
            ({"a": float("nan")}, "It['a'] is nan, which JSON cannot represent"),
            ({1: 2}, "It has the key int 1, but JSON keys are text"),
            ([{"a\0": 1}], "a key of It[0] contains a NUL character"),
            ({"a": ["\0"]}, "It['a'][0] contains a NUL character"),
            ("\ud800", "It contains an unpaired surrogate"),
            (["\udfff"], "It[0] contains an unpaired surrogate"),
            ((1, {2}), "It[1] is a set, which JSON cannot represent. Store sorted(value)"),
            (b"", "It is a bytes, which JSON cannot represent. Store value.hex()"),
        ],
    )
    def test_what_neither_can_hold_is_named_with_its_place(self, value, said):
        with pytest.raises(JobError) as raised:
            storable("It", value, max_bytes=10_000)
        assert str(raised.value).startswith(said)

    def test_it_takes_as_many_bytes_as_it_may(self):
        assert storable("It", "ä" * 9, max_bytes=20) == '"äääääääää"'
        with pytest.raises(JobError, match=r"^It is 1,022 bytes long; the limit is 1,021\."):
            storable("It", "ä" * 510, max_bytes=1021)

    @pytest.mark.parametrize("kind", [list, dict])
    def test_it_is_as_deep_as_it_may_be(self, kind):
        assert storable("It", nested(kind, MAX_DEPTH), max_bytes=10_000)
        with pytest.raises(JobError, match="is nested deeper than 100 levels"):
            storable("It", nested(kind, MAX_DEPTH + 1), max_bytes=10_000)

    def test_a_value_is_shown_by_its_type_and_its_beginning(self):
        class Unprintable:
            def __repr__(self):
                raise ValueError

        assert shown(7) == "int 7"
        assert shown("x" * 98) == f"str '{'x' * 98}'"
        assert shown("x" * 99) == f"str '{'x' * 99}…"
        assert shown(Unprintable()) == "Unprintable"


class TestMessages:
    def test_each_is_of_the_team_or_of_the_system(self):
        assert Message.of(RUN_ID, 3, None) == Message(RUN_ID, 3, "system", 0)
        assert Message.of(RUN_ID, 3, "t", 5) == Message(RUN_ID, 3, "t", 5)

    @pytest.mark.parametrize(("delay_s", "seconds"), [(-3, 0), (0, 0), (0.1, 1), (899.5, 900), (900, 900), (4000, 900)])
    def test_a_delay_is_whole_seconds_that_sqs_takes(self, delay_s, seconds):
        assert Message(RUN_ID, 0, "t", delay_s).entry() == {
            "MessageBody": json.dumps({"run_id": RUN_ID, "slice": 0}),
            "MessageGroupId": "t",
            "DelaySeconds": seconds,
        }

    @pytest.mark.parametrize("number", [0, 2**31 - 1])
    def test_ours_are_read(self, number):
        assert queue.slice_in(json.dumps({"run_id": RUN_ID.upper(), "slice": number})) == (RUN_ID, number)
        assert queue.read(json.dumps({"outbox_id": RUN_ID, "more": 1}), "outbox_id") == {"outbox_id": RUN_ID, "more": 1}

    @pytest.mark.parametrize(
        "body",
        [
            "", "7", "[]", "null", '"x"', "{}", '{"run_id": 7}', '{"run_id": null}', '{"run_id": "x"}', "[" * 100_000,
            json.dumps({"run_id": RUN_ID}),
            *(json.dumps({"run_id": RUN_ID, "slice": number}) for number in (-1, 2**31, 1.0, True, "0", None)),
        ],
        ids=lambda body: body[:30],
    )  # fmt: skip
    def test_what_is_none_of_ours_is_dropped(self, body):
        assert queue.slice_in(body) is None


class TestBatches:
    @pytest.fixture
    def sends(self, monkeypatch):
        """``sends(answer)``: set SQS's answer to the n-th batch (from 0); return the bodies of each sent batch."""

        def sends(answer):
            batches = []

            def send_message_batch(url, entries):
                assert [entry["Id"] for entry in entries] == [str(number) for number in range(len(entries))]
                batches.append([entry["MessageBody"] for entry in entries])
                return answer(len(batches) - 1)

            monkeypatch.setattr(sqs, "send_message_batch", send_message_batch)
            return batches

        return sends

    entries = [{"MessageBody": number} for number in range(25)]

    def test_ten_go_at_once(self, sends):
        batches = sends(lambda number: [])
        assert queue.send_batches("url", self.entries) == 0
        assert batches == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
        assert queue.send_batches("url", []) == 0
        assert len(batches) == 3

    def test_what_is_refused_is_counted_and_the_others_go(self, sends):
        batches = sends(lambda number: [{"Id": "0"}, {"Id": "1"}] if number == 1 else [])
        assert queue.send_batches("url", self.entries) == 2
        assert len(batches) == 3

    def test_a_batch_that_fails_does_not_keep_the_others_back(self, sends):
        def answer(number):
            if number != 1:
                raise ValueError("no")
            return []

        batches = sends(answer)
        assert queue.send_batches("url", self.entries) == 15
        assert len(batches) == 3

    def test_where_no_answer_comes_the_rest_is_left(self, sends):
        def answer(number):
            if number == 1:
                raise AwsUnreachable("no answer")
            return [{"Id": "0"}]

        batches = sends(answer)
        assert queue.send_batches("url", self.entries) == 1 + 15
        assert len(batches) == 2

    def test_a_message_goes_to_the_queue_of_runs(self, environment, monkeypatch):
        sent = []
        monkeypatch.setenv("QUEUE_URL", "https://runs")
        settings.settings.cache_clear()
        monkeypatch.setattr(sqs, "send_message", lambda url, entry: sent.append((url, entry["DelaySeconds"])))
        queue.send(Message(RUN_ID, 0, "t", 3))
        assert sent == [("https://runs", 3)]


class TestWatching:
    def timers(self):
        """Return pending timers. A cancelled timer needs a moment to end."""
        threads = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
        return [timer for timer in threads if not timer.finished.is_set()]

    def test_it_speaks_up_shortly_before_the_invocation_ends(self):
        said = []
        with watching(said.append, remaining_s=NOTE_RESERVE_S + 50):
            [timer] = self.timers()
            assert (timer.interval, timer.daemon) == (50, True)
            timer.function()
        assert timer.finished.is_set()
        assert "did not return before Lambda's time limit" in said[0]

    @pytest.mark.parametrize("remaining_s", [NOTE_RESERVE_S, NOTE_RESERVE_S - 1, -1])
    def test_with_too_little_time_it_does_not_watch(self, remaining_s):
        entered = []
        with watching(entered.append, remaining_s=remaining_s):
            assert self.timers() == []
        assert entered == []

    def test_it_names_the_jobs_line_and_no_librarys(self):
        is_in, may_go = threading.Event(), threading.Event()

        def blocked_here():
            is_in.set()
            may_go.wait()

        thread = threading.Thread(target=blocked_here)
        thread.start()
        is_in.wait()
        while not sys._current_frames()[thread.ident].f_code.co_filename.endswith("threading.py"):
            pass  # until it has come to its wait
        said = blocked_at(thread.ident)
        may_go.set()
        thread.join()
        assert "it was at executor/test_job_values.py:" in said
        assert "in blocked_here." in said
        assert "an unknown line" in blocked_at(thread.ident)

    def test_it_names_a_librarys_line_where_there_is_no_other(self):
        may_go = threading.Event()
        thread = threading.Thread(target=may_go.wait)
        thread.start()
        said = blocked_at(thread.ident)
        may_go.set()
        thread.join()
        assert "threading.py:" in said
