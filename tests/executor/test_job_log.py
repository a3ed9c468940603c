"""The lines that a job logs: where they are stored, when, and how many of them are kept."""

import json
import logging
import sys
import threading
import time
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import pytest

from nightshift.base.logger import logger
from nightshift.base.masking import MASK, remember
from nightshift.jobs import Progress, Wait
from nightshift.runs import executor, job_output
from nightshift.runs.job_log import MAX_LINE_BYTES, JobLog, line_of
from nightshift.testing.rows import run_row
from tests.support.executor_world import counting_to
from tests.support.world import trigger

STEP = {"processed": 1, "total": 9, "message": ""}


@pytest.fixture
def written(monkeypatch):
    """The lines that go to CloudWatch, parsed."""
    lines = []

    class Stream:
        def write(self, text):
            lines.extend(json.loads(line) for line in text.splitlines() if line)

        def flush(self):
            pass

    before = logger.registered_handler.setStream(Stream())
    yield lines
    logger.registered_handler.setStream(before)


@pytest.fixture
def worked(cloud, db, owner, team, job):
    """``worked(function)``: work slices of a run of it. Return its id."""

    def start(function, *, slices=1, remaining_s=lambda: 60):
        row = trigger(team, job_type=job(function), db=db, settings=cloud)
        for number in range(slices):
            executor.work(
                str(row["id"]), number, db=db, settings=cloud, remaining_s=remaining_s, request_id=f"request-{number}"
            )
        return str(row["id"])

    return start


def lines_of(owner, run_id):
    """Return ``(slice, message)`` of each stored line, in order."""
    rows = owner.run_script(f"SELECT slice, lines FROM job_run_logs WHERE run_id = '{run_id}' ORDER BY last_line")
    return [(number, line["message"]) for number, lines in rows for line in lines]


def chunks_of(owner, run_id):
    return owner.run_script(
        f"SELECT last_line, json_array_length(lines) FROM job_run_logs WHERE run_id = '{run_id}' ORDER BY last_line"
    )


def test_what_a_job_says_reaches_its_log_and_cloudwatch(worked, owner, written):
    def speaking(run, db):
        run.log("Began", level="debug")
        run.log("Looked", level="warning", user="u1", count=3, share=0.5, is_new=True, none=None)
        logging.getLogger("acme.client").info("Took %d calls", 7, extra={"host": "a.example"})
        logging.warning("100 % sure")
        print("printed")
        thread = threading.Thread(target=lambda: run.log("From a thread", n=1))
        thread.start()
        thread.join()
        yield Progress(**STEP, cursor={})

    run_id = worked(speaking)
    [[lines]] = owner.run_script("SELECT json_agg(line) FROM job_run_logs, json_array_elements(lines) line")
    assert [{name: of for name, of in line.items() if name != "at"} for line in lines] == [
        {
            "level": "warning",
            "message": "Looked",
            "fields": {"user": "u1", "count": 3, "share": 0.5, "is_new": True, "none": None},
        },
        {"level": "info", "message": "Took 7 calls", "fields": {"logger": "acme.client", "host": "a.example"}},
        {"level": "warning", "message": "100 % sure"},
        {"level": "info", "message": "From a thread", "fields": {"n": 1}},
    ]
    ours = [line for line in written if line.get("action") in ("job_logged", "job_printed")]
    assert [line["message"] for line in ours] == ["Looked", "Took 7 calls", "100 % sure", "printed", "From a thread"]
    assert {(line["run_id"], line["slice"], line["job_type"]) for line in ours} == {(run_id, 0, "counting")}
    assert ours[0]["fields"]["user"] == "u1"
    assert "lines_not_stored" not in {line.get("action") for line in written}
    assert ours[0]["location"].startswith("speaking:")
    assert run_row(owner, run_id)["logged_lines"] == 4


def test_after_the_slice_the_process_logs_as_before(worked):
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.getLogger("botocore").level)
    worked(counting_to(1))
    assert (root.handlers[:], root.level, logging.getLogger("botocore").level) == before


def test_blocks_that_end_in_any_order_leave_nothing_behind():
    """Tests work two slices in threads of one process."""
    root = logging.getLogger()

    def state():
        return root.handlers[:], root.level, logging.getLogger("urllib3").level, sys.stdout, sys.stderr

    before = state()
    one, other = (job_output.captured(JobLog(time.monotonic), level="debug") for _ in range(2))
    for step in (one.__enter__, other.__enter__):
        step()
    for block in (one, other):
        block.__exit__(None, None, None)
    assert state() == before


def test_a_thread_that_a_slice_left_behind_does_not_speak_in_another_runs_log(worked, owner, written):
    """A call of the first run is still on its way when the process works a run of another team."""
    the_other_began, has_spoken = threading.Event(), threading.Event()

    def late(run):
        the_other_began.wait(10)
        run.log("A customer of the first team")
        logging.getLogger("urllib3").warning("Failed to parse headers of /customers/u1")
        has_spoken.set()

    def leaving(run, db):
        threading.Thread(target=late, args=[run], daemon=True).start()
        yield Progress(**STEP, cursor={})

    def following(run, db):
        the_other_began.set()
        assert has_spoken.wait(10)
        thread = threading.Thread(target=run.log, args=["Its own thread"])
        thread.start()
        thread.join()
        yield Progress(**STEP, cursor={})

    left, followed = worked(leaving), worked(following)
    assert (lines_of(owner, left), lines_of(owner, followed)) == ([], [(0, "Its own thread")])
    assert [line["action"] for line in written if "action" in line and line["action"].endswith("job_logged")] == [
        *["earlier_job_logged"] * 2,
        "job_logged",
    ]


def test_what_a_job_sets_in_logging_silences_neither_its_log_nor_the_next_run(worked, owner):
    """As jobs do that were written for a script or for a Lambda function."""

    def setting(run, db):
        logging.basicConfig(force=True)
        logging.warning("Still heard", extra={"of_run": "a field with our name"})
        logging.disable(logging.CRITICAL)
        sys.stdout.close()
        yield Progress(**STEP, cursor={})

    root = logging.getLogger()
    before = root.handlers[:]
    try:
        assert lines_of(owner, worked(setting)) == [(0, "Still heard")]
        assert (root.manager.disable, sys.stdout.closed) == (logging.NOTSET, False)
    finally:
        root.handlers[:] = before


def test_a_yield_stores_lines_at_most_every_two_seconds(worked, owner):
    clock = {"left_s": 60.0}

    def slow(run, db):
        for n in range(6):
            run.log(f"Step {n}")
            yield Progress(**STEP, cursor={"n": n})
            clock["left_s"] -= 1

    run_id = worked(slow, remaining_s=lambda: clock["left_s"])
    # At once, then every second step, and the rest with the end.
    assert chunks_of(owner, run_id) == [[1, 1], [3, 2], [5, 2], [6, 1]]
    assert lines_of(owner, run_id) == [(0, f"Step {n}") for n in range(6)]


def test_the_lines_of_a_step_that_is_rolled_back_are_kept(worked, owner):
    def failing(run, db):
        run.log("Done")
        yield Progress(**STEP, cursor={"n": 1})
        db.write("record_step", run_id=run.id, step=2)
        run.log("Undone")
        raise ValueError("no")

    run_id = worked(failing)
    assert run_row(owner, run_id)["status"] == "failed"
    assert owner.run_script("SELECT count(*) FROM steps") == [[0]]
    assert lines_of(owner, run_id) == [(0, "Done"), (0, "Undone")]


def test_the_next_slice_goes_on_with_the_numbers(worked, owner):
    def waiting(run, db):
        run.log(f"Slice {run.cursor}")
        if not run.cursor:
            yield Wait(seconds=0, why="more", cursor={"n": 1})
        yield Progress(**STEP, cursor={"n": 2})

    run_id = worked(waiting, slices=2)
    assert lines_of(owner, run_id) == [(0, "Slice None"), (1, "Slice {'n': 1}")]
    assert chunks_of(owner, run_id) == [[1, 1], [2, 1]]


def test_a_cancelled_run_keeps_what_it_logged(worked, owner):
    def cancelled(run, db):
        owner.run_script(f"UPDATE job_runs SET cancel_requested_at = now() WHERE id = '{run.id}'")
        run.log("Before")
        try:
            yield Progress(**STEP, cursor={"n": 1})
        finally:
            run.log("Cleaned up")

    run_id = worked(cancelled)
    assert run_row(owner, run_id)["status"] == "cancelled"
    assert lines_of(owner, run_id) == [(0, "Before"), (0, "Cleaned up")]


def test_a_stale_worker_stores_no_line(worked, owner):
    def stale(run, db):
        owner.run_script(f"UPDATE job_runs SET slice = slice + 1 WHERE id = '{run.id}'")
        run.log("Too late")
        yield Progress(**STEP, cursor={"n": 1})

    run_id = worked(stale)
    assert lines_of(owner, run_id) == []
    assert run_row(owner, run_id)["logged_lines"] is None


def test_a_job_that_logs_without_end_stays_bounded(worked, owner):
    clock = {"left_s": 60.0}

    def chatty(run, db):
        for step, lines in enumerate((2_500, 700, 700, 700)):
            for line in range(lines):
                run.log("x", n=line)
            clock["left_s"] -= 2
            yield Progress(**STEP, cursor={"n": step})

    run_id = worked(chatty, remaining_s=lambda: clock["left_s"])
    assert run_row(owner, run_id)["logged_lines"] == 4_600
    assert chunks_of(owner, run_id) == [[3_900, 700], [4_600, 700]]


def test_lines_that_cannot_be_stored_do_not_undo_the_step(worked, owner, written):
    owner.run_script("ALTER TABLE job_run_logs ADD CONSTRAINT never CHECK (last_line < 0)")

    def speaking(run, db):
        run.log("Lost")
        db.write("record_step", run_id=run.id, step=1)
        yield Progress(**STEP, cursor={"n": 1})
        run.log("Lost, too")

    run_id = worked(speaking)
    assert run_row(owner, run_id)["status"] == "completed"
    assert owner.run_script("SELECT count(*) FROM steps") == [[1]]
    assert [line["message"][:21] for line in written if line.get("action") == "lines_not_stored"] == [
        "Could not store 1 log"
    ] * 2


def test_an_unknown_level_fails_the_run_with_a_sentence(worked, owner):
    def wrong(run, db):
        run.log("x", level="loud")
        yield Progress(**STEP, cursor={})

    said = run_row(owner, worked(wrong))["error"]
    assert said == "The level of a log line must be one of debug, info, warning, error, got str 'loud'"


def test_a_secret_is_masked_in_all_texts_of_a_run(worked, owner):
    """A library's error repeats the key, in the middle of a long text; another one's address has the key in it."""
    key = "sk_live/0123456789+abcdef=="
    remember(key)

    def leaking(run, db):
        run.log({("not", "json"): "x" * 60 + key})
        run.log(f"{quote(key)} {quote_plus(key)} {quote(key).replace('%2B', '%2b').replace('%3D', '%3d')}")
        yield Progress(processed=1, total=9, message=f"Calls with {key}", cursor={})
        yield Wait(seconds=0, why=f"an answer to {key}", cursor={"n": 1})

    def failing(run, db):
        yield Progress(**STEP, cursor={})
        raise ValueError(f"{'x' * 1_970}Bearer {key}")

    def bad(run, db):
        yield Progress(**STEP, cursor={})
        yield ["x" * 70, key]

    for job in (failing, bad, leaking):
        run_id = worked(job)
        [[stored]] = owner.run_script(
            "SELECT json_build_array(to_json(run), (SELECT json_agg(lines) FROM job_run_logs WHERE run_id = run.id),"
            " (SELECT json_agg(each) FROM job_timeline each WHERE run_id = run.id))"
            f" FROM job_runs run WHERE id = '{run_id}'"
        )
        text = json.dumps(stored)
        assert "sk_" not in text
        assert MASK in text


def test_a_secret_is_masked_in_messages_fields_and_names(worked, owner, written):
    key = 'sk_"quoted"/secret'
    # A part of one secret may be another secret.
    for known in ("secret", f" {key}\n"):
        remember(known)

    def leaking(run, db):
        run.log(f"Calls with {key}", header=f"Bearer {key}", nested={"deep": [key]}, **{key: 1})
        logging.error("refused %s", key, exc_info=ValueError(key))
        print(f"key={key}")
        run.log("x" * 990 + key)
        run.log("apart: " + "\u200b".join(key))
        yield Progress(**STEP, cursor={})
        raise ValueError("https://a.example/?key=sk_%22quoted%22%2Fsecret")

    run_id = worked(leaking)
    stored = json.dumps(lines_of(owner, run_id)) + json.dumps(owner.run_script("SELECT lines FROM job_run_logs"))
    assert "quoted" not in stored
    assert MASK in stored
    assert "quoted" not in json.dumps(written)


class Unspeakable:
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


@pytest.mark.parametrize(
    ("message", "stored"),
    [
        ("a\x00b\ud800c\x1b[31m", "abc[31m"),
        ("two\nlines\u2028more", "two lines more"),
        (Unspeakable(), "Unspeakable"),
        (b"bytes", "b'bytes'"),
        ("", ""),
        ("日" * 2_000, "日" * 399 + "…"),
        ("é" * 700, "é" * 700),
        ("x" * 50_000, "x" * 999 + "…"),
        ({"a": ["\ud800", 1]}, '{"a": ["", 1]}'),
    ],
)
def test_a_message_is_cleaned_and_cut(message, stored):
    line = line_of("info", message, {}, at=datetime.now(UTC))
    assert json.loads(line)["message"] == stored
    assert len(line.encode()) <= MAX_LINE_BYTES


def test_fields_of_any_kind_fit_into_a_line():
    loop = {}
    loop["loop"] = loop
    deep = []
    for _ in range(100_000):
        deep = [deep]
    fields = {
        "nan": float("nan"), "inf": float("inf"), "huge": 10**5_000, "loop": loop, "deep": deep, "bad": Unspeakable(),
        "\x00na\nme": "x\x00", "long": "日" * 10_000, "message": "m", "run_id": "other",
    }  # fmt: skip
    line = line_of("info", "x" * 1_000, fields | {f"more{n}": n for n in range(50)}, at=datetime.now(UTC))
    read = json.loads(line, parse_constant=pytest.fail)
    assert len(line.encode()) <= MAX_LINE_BYTES
    assert read["fields"]["nan"] == "nan"
    assert read["fields"]["na me"] == "x"
    assert read["fields"]["…"].endswith("more left out")
