"""The executor copes with careless jobs, which change values in place, swallow errors, raise and yield odd values."""

import asyncio
import contextlib
import datetime
import decimal
import re
import threading
import uuid

import pytest

from nightshift.base.errors import ConfigurationError, DatabaseBusy, DatabaseGone, JobError
from nightshift.jobs.author_api import MAX_COUNT, Progress, Retry, Wait
from nightshift.jobs.registry import JOB_TYPES
from nightshift.testing.job_run import DEADLOCK, assert_resumable
from nightshift.testing.rows import age, make_team, run_row, work
from tests.support.executor_world import COUNTING, MAKE_STEPS, steps_of
from tests.support.fixtures import new_database
from tests.support.world import closed_to_new_sessions, cut_sessions, received, trigger


class TestChangesInPlace:
    """The executor writes the committed values, not the job's later changes in memory."""

    @staticmethod
    def one_dict(run, db):
        """Keep the place in one dict, change it in place, and yield that same dict each time."""
        place = run.cursor or {"done": 0, "seen": []}
        while place["done"] < 4:
            place["done"] += 1
            place["seen"].append(place["done"])
            db.write("record_step", run_id=run.id, step=place["done"])
            yield Progress(processed=place["done"], total=4, message="", cursor=place)
        return {"seen": place["seen"]}

    @staticmethod
    def the_runs_own(run, db):
        """Do the same with ``run.cursor`` itself."""
        if run.cursor is None:
            yield Progress(processed=0, total=4, message="", cursor={"done": 0})
        while run.cursor["done"] < 4:
            run.cursor["done"] += 1
            db.write("record_step", run_id=run.id, step=run.cursor["done"])
            yield Progress(processed=run.cursor["done"], total=4, message="", cursor=run.cursor)
        return {"done": run.cursor["done"]}

    @pytest.mark.parametrize("name", ["one_dict", "the_runs_own"])
    def test_no_step_is_lost_or_done_twice_whatever_happens(self, job_run, job, team, name):
        job(getattr(self, name))

        def end(owner):
            return [step for (step,) in owner.run_script("SELECT step FROM steps ORDER BY step")]

        checkpoints = assert_resumable(job_run, "counting", team=team, end=end)
        assert [step.cursor["done"] for step in checkpoints][-4:] == [1, 2, 3, 4]

    @pytest.mark.parametrize("before", [1, 2, 3, 4])
    def test_a_step_that_is_rolled_back_is_done_again(self, run_of, owner, before):
        run = run_of(self.one_dict).fail(before=before)
        between = run.row
        assert (between["cursor"] or {"done": 0})["done"] == before - 1
        assert (between["progress"] or {"processed": 0})["processed"] == before - 1
        assert run.finish().result == {"seen": [1, 2, 3, 4]}
        assert steps_of(owner, run.id) == [1, 2, 3, 4]

    def test_a_failed_run_keeps_the_cursor_of_its_last_committed_step(self, run_of, owner):
        def failing(run, db):
            place = run.cursor or {"done": 0}
            while True:
                place["done"] += 1
                db.write("record_step", run_id=run.id, step=place["done"])
                if place["done"] == 3 and not run.params.get("mended"):
                    raise ValueError("the third step is broken")
                if place["done"] == 4:
                    return {}
                yield Progress(processed=place["done"], total=4, message="", cursor=place)

        run = run_of(failing).finish()
        assert (run.row["status"], run.row["cursor"]) == ("failed", {"done": 2})

        owner.run_script("UPDATE job_runs SET params = params || '{\"mended\": true}'")
        again = run.again(from_cursor=True).finish()
        assert again.row["status"] == "completed"
        assert steps_of(owner, again.id) == [3, 4]

    def test_what_it_does_to_its_progress_and_its_run_goes_nowhere(self, run_of):
        def meddling(run, db):
            yield Progress(processed=1, total=3, message="one", cursor={"done": 1})
            run.progress["processed"] = 99
            run.progress = {"processed": 77}
            run.project_id = run.id = "another"
            run.params["project_id"] = "another"
            raise OSError("reset by peer")

        run = run_of(meddling, retry=Retry(attempts=1)).work()
        between = run.row
        assert between["progress"] == {"processed": 1, "total": 3, "message": "one"}
        assert between["params"]["project_id"] == between["project_id"] != "another"
        assert between["status"] == "running"

    def test_a_checkpoint_is_what_it_was_when_it_was_made(self):
        place = {"seen": [1]}
        step = Progress(processed=1, total=1, message="", cursor=place)
        place["seen"].append(2)
        assert (step.cursor, step.cursor_text) == ({"seen": [1]}, '{"seen": [1]}')


class OfALibrary(BaseException):
    """Some libraries raise such exceptions."""


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no")


class TestWhatItRaises:
    @pytest.mark.parametrize(
        ("exc", "error"),
        [
            (SystemExit(3), "SystemExit: 3"),
            (asyncio.CancelledError("timed out"), "CancelledError: timed out"),
            (GeneratorExit(), "GeneratorExit: "),
            (KeyboardInterrupt(), "KeyboardInterrupt: "),
            (OfALibrary("odd"), "OfALibrary: odd"),
            (StopIteration(5), "RuntimeError: generator raised StopIteration"),
            (MemoryError(), "MemoryError: "),
            (RecursionError("too deep"), "RecursionError: too deep"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_it_is_the_jobs_failure_whatever_its_class(self, run_of, owner, exc, error):
        def raising(run, db):
            db.write("record_step", run_id=run.id, step=1)
            raise exc
            yield

        run = run_of(raising).work()
        assert (run.row["status"], run.row["error"], run.row["lost_slices"]) == ("failed", error, 0)
        assert steps_of(owner, run.id) == []

    def test_its_retry_policy_holds_for_every_class(self, run_of):
        def raising(run, db):
            if run.cursor is None:
                yield Progress(processed=1, total=2, message="", cursor={"at": 1})
            raise SystemExit("restart me")

        run = run_of(raising, retry=Retry(attempts=2)).finish()
        assert [outcome for _, outcome, _ in run.slices] == ["retrying", "retrying", "failed"]
        assert run.row["error"] == "SystemExit: restart me"

    @pytest.mark.parametrize("exc", [JobError("bad \ud800"), ValueError("bad \ud800\0"), Unprintable()])
    def test_whatever_an_exception_says_it_fails_the_run(self, run_of, exc):
        def bad(run, db):
            raise exc
            yield

        assert run_of(bad).work().row["status"] == "failed"

    @pytest.mark.parametrize("cancelled", [False, True])
    @pytest.mark.parametrize("exc", [OSError("close failed"), SystemExit(1), KeyboardInterrupt()])
    def test_a_finally_that_raises_changes_nothing_of_what_was_decided(
        self, cloud, db, owner, team, job, cancelled, exc
    ):
        def bad(run, steps_db):
            try:
                if cancelled:
                    owner.query("cancel_run", run_id=run.id, requested_by="x")
                yield Progress(processed=1, total=2, message="", cursor={"a": 1})
            finally:
                raise exc

        row = trigger(team, job_type=job(bad), db=db, settings=cloud)
        received(cloud)
        work(row["id"], 0, db=db, settings=cloud, remaining_s=1)
        assert run_row(owner, row["id"])["status"] == ("cancelled" if cancelled else "running")
        assert [m["slice"] for m in received(cloud)] == ([] if cancelled else [1])

    def test_one_that_is_not_a_generator_says_so(self, run_of):
        run = run_of(lambda run, db: {"done": 1}).finish()
        assert run.row["error"] == "counting must be a generator function: it has to yield at least once"

    def test_a_type_that_this_release_does_not_know_fails_its_run(self, job_run, team, monkeypatch):
        monkeypatch.setitem(JOB_TYPES, "counting", COUNTING)
        run = job_run("counting", team=team)
        monkeypatch.delitem(JOB_TYPES, "counting")
        assert run.finish().row["error"] == "This release has no code for jobs of type counting"


class TestErrorsItSwallows:
    """``try: db.write(…) except Exception: log``: the step's first error is raised at its yield."""

    @pytest.fixture(autouse=True)
    def unique_steps(self, team, owner):
        owner.run_script("CREATE UNIQUE INDEX only_once ON steps (step); INSERT INTO steps VALUES ('before', 2)")

    @staticmethod
    def shrugging(run, db):
        for step in (1, 2, 3):
            with contextlib.suppress(Exception):
                db.write("record_step", run_id=run.id, step=step)
        yield Progress(processed=3, total=3, message="", cursor={"done": 3})
        return {}

    def test_a_unique_violation_fails_the_run_in_its_own_words(self, run_of, owner):
        run = run_of(self.shrugging).work()
        assert run.row["error"] == 'duplicate key value violates unique constraint "only_once"'
        assert (run.row["cursor"], steps_of(owner, run.id)) == (None, [])

    @pytest.mark.parametrize("last", ["Wait", "return"])
    def test_nor_is_it_forgotten_by_a_wait_or_by_the_end(self, run_of, owner, last):
        def shrugging(run, db):
            with contextlib.suppress(Exception):
                db.write("record_step", run_id=run.id, step=2)
            if last == "Wait":
                yield Wait(seconds=1, why="x", cursor={"at": 1})
            return {}
            yield

        run = run_of(shrugging).work()
        assert run.row["error"] == 'duplicate key value violates unique constraint "only_once"'

    @pytest.mark.parametrize("raises", [False, True], ids=["goes on", "raises an error of its own"])
    def test_a_deadlock_is_the_databases_and_the_step_is_done_again(self, run_of, owner, own_queries, raises):
        own_queries["deadlock"] = DEADLOCK
        seen = []

        def unlucky(run, db):
            db.write("record_step", run_id=run.id, step=1)
            if not seen:
                seen.append(1)
                try:
                    db.write("deadlock")
                except Exception as exc:
                    if raises:
                        raise JobError("Could not write the third user") from exc
            yield Progress(processed=1, total=1, message="", cursor={"done": 1})
            return {}

        run = run_of(unlucky).finish()
        assert [outcome for _, outcome, _ in run.slices] == ["retrying", "completed"]
        assert run.slices[0][2] == "retry 1 of 5 after: The database was busy: deadlock detected"
        assert steps_of(owner, run.id) == [1]

    def test_a_read_that_failed_is_not_taken_for_an_empty_answer(self, run_of, own_queries):
        own_queries["broken"] = "SELECT 1 / 0"

        def careless(run, db):
            try:
                users = db.read("broken")
            except Exception:
                users = []
            yield Progress(processed=len(users), total=len(users), message="", cursor={"done": True})
            return {"users": len(users)}

        assert run_of(careless).work().row["error"] == "division by zero"

    def test_an_error_of_an_earlier_step_does_not_fail_a_later_one(self, run_of, own_queries):
        own_queries["deadlock"] = DEADLOCK

        def once(run, db):
            if run.cursor is None:
                yield Progress(processed=1, total=2, message="", cursor={"done": 1})
                db.write("deadlock")
            yield Progress(processed=2, total=2, message="", cursor={"done": 2})
            return {}

        assert run_of(once).finish().row["status"] == "completed"

    def test_one_that_shrugs_off_a_lost_connection_cannot_commit_half_a_step(self, cloud, db, owner, team, job):
        def careless(run, steps_db):
            steps_db.write("record_step", run_id=run.id, step=1)
            cut_sessions(owner)
            for step in (3, 4):
                with contextlib.suppress(Exception):  # "one bad row must not stop the others"
                    steps_db.write("record_step", run_id=run.id, step=step)
            yield Progress(processed=3, total=3, message="", cursor={"done": 3})
            return {}

        row = trigger(team, job_type=job(careless), db=db, settings=cloud)
        work(row["id"], 0, db=db, settings=cloud)
        assert (run_row(owner, row["id"])["cursor"], steps_of(owner, row["id"])) == (None, [])

    def test_one_that_shrugs_off_a_transaction_that_cannot_begin_commits_nothing(self, cloud, db, owner, team, job):
        """The database is unreachable only for the step's first write, and reachable again at its yield."""

        def careless(run, steps_db):
            if run.cursor is None:
                yield Progress(processed=1, total=2, message="", cursor={"done": 1})
                with closed_to_new_sessions(owner), contextlib.suppress(DatabaseGone, DatabaseBusy):
                    cut_sessions(owner)
                    steps_db.write("record_step", run_id=run.id, step=2)
            yield Progress(processed=2, total=2, message="", cursor={"done": 2})
            return {}

        row = trigger(team, job_type=job(careless), db=db, settings=cloud)
        work(row["id"], 0, db=db, settings=cloud)
        assert run_row(owner, row["id"])["cursor"] == {"done": 1}

    def test_an_error_of_the_database_is_a_sentence(self, run_of):
        def bad(run, db):
            db.write("record_step", run_id=run.id, step="many")
            yield

        assert run_of(bad).work().row["error"] == 'invalid input syntax for type integer: "many"'


class TestCommandsOfTheEngine:
    """A query file with a COMMIT, ROLLBACK or other command that only the executor may send."""

    @pytest.mark.parametrize(
        "query",
        [
            *("COMMIT", "rollback;", "END", "ABORT AND CHAIN", "BEGIN", "SAVEPOINT here", "ROLLBACK TO SAVEPOINT here"),
            *("-- as a comment says\n  /* and another */ Commit", "PREPARE TRANSACTION 'x'", "DISCARD ALL"),
            *("SET search_path = elsewhere", "set /* */ timezone = 'Asia/Kathmandu'", "RESET ALL"),
        ],
    )
    @pytest.mark.parametrize("swallows", [False, True], ids=["goes up", "is swallowed"])
    def test_it_is_not_sent_and_nothing_of_the_step_is_lost_or_kept(self, run_of, owner, own_queries, query, swallows):
        own_queries["meddle"] = query

        def meddling(run, db):
            yield Progress(processed=1, total=2, message="", cursor={"done": 1})
            db.write("record_step", run_id=run.id, step=2)
            with contextlib.suppress(Exception) if swallows else contextlib.nullcontext():
                db.write("meddle")
            yield Progress(processed=2, total=2, message="", cursor={"done": 2})
            return {}

        run = run_of(meddling).work()
        assert (run.row["status"], run.row["cursor"], steps_of(owner, run.id)) == ("failed", {"done": 1}, [])
        assert run.row["error"].startswith("Query meddle cannot be used: meddle.sql, it begins with ")

    @pytest.mark.parametrize("query", ["SET LOCAL lock_timeout = '1s'", "SET CONSTRAINTS ALL DEFERRED"])
    def test_what_ends_with_the_transaction_is_the_jobs_own(self, run_of, owner, own_queries, query):
        own_queries["for_this_step"] = query

        def careful(run, db):
            db.write("for_this_step")
            db.write("record_step", run_id=run.id, step=1)
            yield Progress(processed=1, total=1, message="", cursor={"done": 1})
            return {}

        run = run_of(careful).finish()
        assert (run.row["status"], steps_of(owner, run.id)) == ("completed", [1])


def step(**changes):
    return Progress(**({"processed": 1, "total": 2, "message": "", "cursor": None} | changes))


deep = []
for _ in range(2_000):
    deep = [deep]
circular = []
circular.append(circular)


class TestWhatItYields:
    @pytest.fixture(scope="class")
    @classmethod
    def config(cls, postgres, superuser, template):
        with new_database(postgres, superuser, template) as settings:
            yield settings

    @pytest.fixture
    def team(self, owner):
        """Create another team for each run in the one database."""
        owner.run_script(MAKE_STEPS)
        return make_team(owner, slug=f"owls-{uuid.uuid4().hex}")

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (datetime.date(2026, 1, 1), "['at'] is a date, which JSON cannot represent. Store value.isoformat()"),
            (
                datetime.datetime(2026, 1, 1),
                "['at'] is a datetime, which JSON cannot represent. Store value.isoformat()",
            ),
            (decimal.Decimal("1.1"), "['at'] is a Decimal, which JSON cannot represent. Store str(value)"),
            (uuid.UUID(int=1), "['at'] is a UUID, which JSON cannot represent. Store str(value)"),
            ({1, 2}, "['at'] is a set, which JSON cannot represent. Store sorted(value)"),
            (b"x", "['at'] is a bytes, which JSON cannot represent. Store value.hex()"),
            (object(), "['at'] is a object, which JSON cannot represent. Store text, numbers, lists and dicts"),
            (float("nan"), "['at'] is nan, which JSON cannot represent. Store None or text instead"),
            (float("-inf"), "['at'] is -inf, which JSON cannot represent. Store None or text instead"),
            ("a\0b", "['at'] contains a NUL character, which Postgres cannot store. Remove it"),
            ("\ud83d", "['at'] contains an unpaired surrogate, which is not valid text. Remove it"),
            ([{"a": {"b": {1}}}], "['at'][0]['a']['b'] is a set, which JSON cannot represent. Store sorted(value)"),
            ({1: 2}, "['at'] has the key int 1, but JSON keys are text. Use str(key)"),
            ({"a\0": 2}, "['at'] contains a NUL character, which Postgres cannot store. Remove it"),
            (10**4000, "['at'] is a whole number of more than 900 digits. Store it as text"),
            (deep, "levels. Flatten it"),
            (circular, "levels. Flatten it"),
            ("x" * 1_000_000, "is 1,000,010 bytes long; the limit is 65,536. Store less in it"),
            ("ä" * 40_000, "is 80,010 bytes long; the limit is 65,536. Store less in it"),
        ],
        ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
    )
    @pytest.mark.parametrize("kind", ["Progress", "Wait", "result"])
    def test_what_cannot_be_stored_is_refused_by_key_and_type(self, run_of, owner, kind, value, said):
        def bad(run, db):
            db.write("record_step", run_id=run.id, step=1)
            if kind == "Progress":
                yield Progress(processed=1, total=1, message="", cursor={"at": value})
            elif kind == "Wait":
                yield Wait(seconds=1, why="x", cursor={"at": value})
            return {"at": value}

        run = run_of(bad).work()
        error = run.row["error"]
        assert run.row["status"] == "failed"
        assert error.startswith(
            {"Progress": "Progress.cursor", "Wait": "Wait.cursor", "result": "The result"}[kind]
        ) or ("a key of" in error)
        assert said.replace("65,536", "16,384" if kind == "result" else "65,536") in error
        assert len(error) < 400
        assert steps_of(owner, run.id) == []

    def test_a_refusal_stands_at_the_authors_own_line(self):
        with pytest.raises(JobError) as caught:
            Progress(processed=1, total=1, message="", cursor={"at": datetime.date(2026, 1, 1)})
        assert any(entry.path == __file__ or str(entry.path) == __file__ for entry in caught.traceback)

    @pytest.mark.parametrize(
        "value",
        [0, -1, 2**53 + 1, 10**30, 0.1, -0.5, 1e-300, True, None, "", "日本 🦉 \u200d", [], {}, [1, [2, {"a": None}]]],
        ids=str,
    )
    def test_what_can_be_stored_comes_back_as_it_was(self, run_of, value):
        def keeping(run, db):
            if run.cursor is None:
                yield Progress(processed=1, total=1, message="", cursor={"at": value})
            return {"same": run.cursor["at"] == value, "kind": type(run.cursor["at"]) is type(value), "at": value}

        run = run_of(keeping).work(remaining_s=1).work()
        assert run.result["same"]
        assert run.result["kind"]
        assert run.result["at"] == value

    @pytest.mark.parametrize(
        ("yielded", "said"),
        [
            (
                lambda: step(processed=1.5),
                "Progress.processed must be a whole number up to 9223372036854775807, got float",
            ),
            (lambda: step(total=True), "Progress.total must be a whole number"),
            (lambda: step(processed=MAX_COUNT + 1), "Progress.processed must be a whole number"),
            (lambda: step(total=10**30), "Progress.total must be a whole number"),
            (lambda: step(message=None), "Progress.message must be text, got NoneType"),
            (lambda: step(cursor=[1]), "Progress.cursor must be a dict or None, got list [1]"),
            (lambda: Wait(seconds=float("nan"), why="", cursor=None), "Wait.seconds must be a number from 0 to"),
            (lambda: Wait(seconds=-1, why="", cursor=None), "Wait.seconds must be a number from 0 to"),
            (lambda: Wait(seconds=decimal.Decimal(1), why="", cursor=None), "Wait.seconds must be a number from 0 to"),
            (lambda: Wait(seconds=datetime.timedelta(1), why="", cursor=None), "Wait.seconds must be a number from 0"),
            (lambda: Wait(seconds=1, why=None, cursor={"a": 1}), "Wait.why must be text, got NoneType None"),
            (
                lambda: Wait(seconds=1, why="x", cursor={"a": 1}, progress={}),
                "Wait.progress must be a Progress or None",
            ),
            (lambda: "done", "A job yields Progress or Wait, got str 'done'"),
            (lambda: None, "A job yields Progress or Wait, got NoneType None"),
            (lambda: "x" * 10**6, "A job yields Progress or Wait, got str 'xxxx"),
            (lambda: OfALibrary, "A job yields Progress or Wait, got type <class"),
        ],
    )
    def test_what_it_yields_is_checked(self, run_of, yielded, said):
        def bad(run, db):
            yield yielded()

        error = run_of(bad).work().row["error"]
        assert error.startswith(said)
        assert len(error) < 250

    @pytest.mark.parametrize("result", ["done", ["a", "list"], 7, OfALibrary])
    def test_what_it_returns_is_named_without_a_word_of_ours(self, run_of, result):
        def bad(run, db):
            yield Progress(processed=1, total=1, message="", cursor={"a": 1})
            return result

        error = run_of(bad).work().row["error"]
        assert error.startswith(f"A job returns a dict or None, got {type(result).__name__} ")

    def test_a_job_that_yields_on_after_it_was_refused_has_failed(self, run_of):
        def stubborn(run, db):
            while True:
                with contextlib.suppress(Exception):
                    yield "again"

        assert run_of(stubborn).work().row["error"] == "A job yields Progress or Wait, got str 'again'"

    def test_a_message_is_one_line_of_at_most_500_characters(self, run_of):
        def wordy(run, db):
            yield Progress(processed=1, total=1, message="Synced\n" + "x" * 600, cursor=None)

        assert run_of(wordy).work().row["progress"]["message"] == "Synced " + "x" * 492 + "…"

    @pytest.mark.parametrize("why", ["the\nmoon\0 \ud800" + "x" * 5_000, "x" * 100_000])
    def test_a_reason_to_wait_is_cleaned_and_bounded_as_a_message_is(self, run_of, why):
        def waiting(run, db):
            yield Wait(seconds=1, why=why, cursor={"a": 1})

        said = run_of(waiting).work().row["waiting_for"]
        assert len(said) == 500
        assert said.startswith(("the moon x", "xxx"))

    @pytest.mark.parametrize("value", [1e16, 1.2345678901234567e16, 1e23, -1e23, 1e300, 1.7976931348623157e308])
    def test_a_large_float_comes_back_as_the_same_number(self, run_of, value):
        seen = []

        def keeps(run, db):
            seen.append(run.cursor)
            if run.cursor is None:
                yield Wait(seconds=1, why="a slice", cursor={"at": [value, "1e+23"]})
            yield Progress(processed=1, total=1, message="", cursor=run.cursor)
            return {"at": value}

        assert run_of(keeps).finish().result == {"at": value}
        assert seen == [None, {"at": [value, "1e+23"]}]

    def test_a_wait_for_the_same_large_float_moves_nothing(self, run_of):
        def waits(run, db):
            yield Wait(seconds=1, why="it", cursor={"at": 1e23})

        error = run_of(waits).finish().row["error"]
        assert error.startswith("Wait.cursor must differ from the cursor that the slice began with")

    def test_a_large_float_weighs_what_is_stored_of_it(self, run_of):
        def heavy(run, db):
            yield Progress(processed=1, total=1, message="", cursor=None)
            return {"all": [1e308] * 100}

        assert re.match(r"The result is 31,\d\d\d bytes long; the limit is 16,384", run_of(heavy).finish().row["error"])

    def test_a_result_too_large_for_a_page_of_runs_fails_the_run(self, run_of):
        def bad(run, db):
            return {"ids": "x" * 20_000}
            yield

        error = run_of(bad).work().row["error"]
        assert error == "The result is 20,011 bytes long; the limit is 16,384. Store less in it"

    def test_a_result_may_be_changed_after_it_was_returned(self, run_of):
        result = {"counted": 1}

        def sharing(run, db):
            yield Progress(processed=1, total=1, message="", cursor={"a": 1})
            return result

        run = run_of(sharing).work()
        result["counted"] = 2
        assert run.result == {"counted": 1}


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"attempts": -1}, "Retry.attempts must be a whole number from 0 to 100, got -1"),
        ({"attempts": 10**6}, "Retry.attempts must be a whole number from 0 to 100, got 1000000"),
        ({"attempts": True}, "Retry.attempts must be a whole number from 0 to 100, got True"),
        ({"attempts": 1, "delay_s": -1}, "Retry.delay_s must be a number from 0 to 3600, got -1"),
        ({"attempts": 1, "delay_s": float("nan")}, "Retry.delay_s must be a number from 0 to 3600, got nan"),
        ({"attempts": 1, "delay_s": 86_400}, "Retry.delay_s must be a number from 0 to 3600, got 86400"),
        ({"attempts": 1, "delay_s": "5"}, "Retry.delay_s must be a number from 0 to 3600, got '5'"),
    ],
)
def test_a_retry_policy_beyond_reason_is_refused(numbers, said):
    with pytest.raises(ConfigurationError, match=said):
        Retry(**numbers)


def test_a_retry_never_waits_longer_than_an_hour():
    policy = Retry(attempts=100, delay_s=10)
    assert [policy.delay_before(failure) for failure in (1, 2, 9, 10, 100, 101)] == [10, 20, 2560, 3600, 3600, None]


def test_a_thread_that_outlives_its_slice_does_not_write_into_the_next_ones_step(run_of, owner):
    """The thread tries to write when the slice has ended and its connection belongs to the next one."""
    is_over, told = threading.Event(), []

    def leaving(run, db):
        if run.cursor:
            return {}

        def late():
            is_over.wait(30)
            try:
                db.write("record_step", run_id="late", step=9)
            except Exception as exc:
                told.append(str(exc))

        thread = threading.Thread(target=late)
        thread.start()
        threads.append(thread)
        yield Progress(processed=1, total=1, message="", cursor={"done": 1})
        return {}

    threads = []
    run = run_of(leaving).work(remaining_s=1)
    is_over.set()
    threads[0].join(30)
    age(owner, run.id, 60)
    assert told == ["This database belongs to a slice that has ended. Join the job's threads before each yield"]
    assert not run.db.in_transaction
    assert run.finish().row["status"] == "completed"
    assert owner.run_script("SELECT count(*) FROM steps") == [[0]]
