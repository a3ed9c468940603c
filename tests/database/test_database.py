"""The connection: unusable sessions, permission to sign in, threads, values read and sent."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pg8000.exceptions import DatabaseError

from nightshift.base.errors import (
    BadQuery,
    DatabaseBusy,
    DatabaseGone,
    DatabaseReadOnly,
    SessionUnfit,
    SignInRefused,
)
from nightshift.database import queries
from nightshift.database.connection import connect
from nightshift.database.queries import Database
from nightshift.database.statements import NumberedParameter, parse
from nightshift.database.typed_rows import typed
from nightshift.runs.slices import ClaimedSlice, Slice
from tests.support.stack_world import until
from tests.support.world import claim, system_run


@pytest.fixture
def own_queries(monkeypatch):
    """Add the test's own query files, by name."""
    own, real = {}, queries.query_text
    monkeypatch.setattr(queries, "query_text", lambda name: own[name] if name in own else real(name))
    return own


def test_two_query_files_of_one_name_are_refused(tmp_path, monkeypatch):
    [existing] = Path("functions/nightshift_jobs/revenuecat_sync").resolve().rglob("next_app_users.sql")
    twin = tmp_path / "queries/runs/next_app_users.sql"
    twin.parent.mkdir(parents=True)
    twin.write_text("SELECT 1")
    monkeypatch.setattr(queries, "sql_directory", lambda: tmp_path)
    with pytest.raises(BadQuery) as refused:
        queries.query_files.__wrapped__()
    assert str(refused.value) == f"Two queries are called next_app_users: {twin} and {existing}. Rename one of them"
    twin.rename(twin.with_name("next_app_users.txt"))
    assert queries.query_files.__wrapped__()["next_app_users"] == existing


def session_of(db):
    return db.run_script("SELECT pg_backend_pid()")[0][0]


class TestSessionsOfNoUse:
    # Ways to make a kept session unusable, and its answer to the next statement.
    SPOILED = {
        "it only reads": "SET default_transaction_read_only = on",
        "a pooler discarded it": "DISCARD ALL",
        "its statements are gone": "DEALLOCATE ALL",
        "its schema is another": "SET search_path = pg_catalog",
        "its role is another": "SET ROLE pg_monitor",
        "it is in a transaction that nothing here began": "BEGIN",
        "that transaction has failed": "BEGIN; SELECT 1 / 0",
    }

    @pytest.fixture
    def written(self, db, owner, own_queries):
        """Write a row, and return the number of rows."""
        owner.run_script("CREATE TABLE notes (note text); GRANT ALL ON notes TO nightshift_tests, pg_monitor")
        owner.run_script("GRANT pg_monitor TO nightshift_tests; REVOKE ALL ON notes FROM pg_monitor")
        own_queries["write_note"] = "INSERT INTO notes VALUES (:note)"
        yield lambda: (db.query("write_note", note="x"), owner.run_script("SELECT count(*) FROM notes")[0][0])[1]
        owner.run_script("REVOKE pg_monitor FROM nightshift_tests")

    @pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
    def test_it_is_replaced_and_the_statement_takes_effect_once(self, db, written, spoil):
        assert written() == 1
        before = session_of(db)
        with suppress(DatabaseError):
            db.run_script(spoil)
        assert written() == 2
        assert session_of(db) != before

    def test_another_ones_prepared_statement_stands_in_the_place_of_ours(self, db, written):
        db.query("ping")
        [[ours]] = db.run_script("SELECT name FROM pg_prepared_statements")
        db.close()
        db.run_script(f"PREPARE {ours} AS SELECT 2 AS ok")
        assert db.query("ping")[0]["ok"] == 1

    def test_a_name_stands_for_the_same_statement_in_every_session(self, connect, own_queries):
        """A pooler may give an execution to a session in which another client has prepared its statements."""
        own_queries.update(first="SELECT 1 AS one", second="SELECT 2 AS two", alike="SELECT 1 AS one")
        kept = []
        for order in (("first", "second", "alike"), ("second", "first")):
            db = connect()
            for name in order:
                db.query(name)
            kept.append(sorted(db.run_script("SELECT name, statement FROM pg_prepared_statements")))
        assert kept[0] == kept[1]
        assert len({name for name, _ in kept[0]}) == 2

    @pytest.mark.parametrize(
        ("spoil", "error"),
        [
            ("SET TRANSACTION READ ONLY", DatabaseReadOnly),
            ("DEALLOCATE ALL", SessionUnfit),
        ],
    )
    def test_in_a_transaction_nothing_is_repeated_and_nothing_more_is_done(self, db, owner, written, spoil, error):
        written()
        db.begin()
        db.run_script(spoil)
        with pytest.raises(error):
            db.query("write_note", note="lost")
        # A caller that ignores the error must not commit the rest by itself.
        with pytest.raises(DatabaseGone, match="in the middle of a transaction"):
            db.query("write_note", note="half")
        with pytest.raises(DatabaseGone):
            db.commit()
        assert written() == 2

    def test_a_plan_that_no_longer_fits_in_a_transaction_is_passing_trouble(self, db, owner, written, own_queries):
        own_queries["notes"] = "SELECT * FROM notes"
        db.query("notes")
        owner.run_script("ALTER TABLE notes ADD COLUMN more text")
        for error in (DatabaseBusy, None):
            db.begin()
            if error:
                with pytest.raises(error, match="cached plan must not change result type"):
                    db.query("notes")
            else:
                assert db.query("notes") == []
            db.rollback()

    @pytest.mark.parametrize("kind", ["missing", "forbidden", "read-only"])
    def test_what_a_new_session_says_too_stands_after_one_more_try(self, db, owner, written, monkeypatch, kind):
        written()
        before, error, opened = session_of(db), DatabaseError, []
        monkeypatch.setattr(queries, "connect", lambda *given: opened.append(given) or connect(*given))
        if kind == "missing":
            owner.run_script("DROP TABLE notes")
        elif kind == "forbidden":
            owner.run_script("REVOKE INSERT ON notes FROM nightshift_tests")
        else:
            name = db._config.database_name
            owner.run_script(f"ALTER ROLE nightshift_tests IN DATABASE {name} SET default_transaction_read_only = on")
            db.run_script("SET default_transaction_read_only = on")
            error = DatabaseReadOnly
        with pytest.raises(error):
            db.query("write_note", note="x")
        assert len(opened) == 1
        assert session_of(db) != before

    def test_a_new_sessions_refusal_is_not_asked_for_twice(self, db, own_queries, monkeypatch):
        own_queries["missing"] = "SELECT FROM missing"
        opened = []
        monkeypatch.setattr(queries, "connect", lambda *given: opened.append(given) or connect(*given))
        with pytest.raises(DatabaseError):
            db.query("missing")
        assert len(opened) == 1

    def test_a_transaction_that_an_invocation_left_behind_is_forgotten(self, db, owner, written):
        db.begin()
        db.query("write_note", note="left behind")
        db.query("ping", again_if_gone=True)
        assert (db.in_transaction, written()) == (False, 1)

    def test_a_script_that_meets_a_failed_transaction_of_another_ends_the_session(self, db):
        with suppress(DatabaseError):
            db.run_script("BEGIN; SELECT 1 / 0")
        with pytest.raises(SessionUnfit, match="current transaction is aborted"):
            db.run_script("SELECT 1")
        assert db.run_script("SELECT 1") == [[1]]

    def test_nor_does_a_new_transaction_join_one(self, db, owner, written):
        db.run_script("BEGIN; INSERT INTO notes VALUES ('left behind')")
        with db.transaction():
            db.query("write_note", note="x")
        assert owner.run_script("SELECT note FROM notes") == [["x"]]

    def test_a_transaction_begins_on_a_connection_that_died_while_the_environment_slept(self, db, owner, written):
        owner.run_script(f"SELECT pg_terminate_backend({session_of(db)}, 60000)")
        with db.transaction():
            db.query("write_note", note="x")
        assert owner.run_script("SELECT count(*) FROM notes") == [[1]]


class TestTheServersLastWords:
    @pytest.mark.parametrize("size", [1, 5_000_000], ids=["a short statement", "one too long for one write"])
    @pytest.mark.parametrize(
        ("end", "words"),
        [
            (
                "SET idle_in_transaction_session_timeout = '1ms'; BEGIN",
                "terminating connection due to idle-in-transaction timeout",
            ),
            ("SET idle_session_timeout = '1ms'", "terminating connection due to idle-session timeout"),
            (None, "terminating connection due to administrator command"),
        ],
        ids=["idle in transaction", "idle", "terminated"],
    )
    def test_they_are_told(self, db, owner, own_queries, end, words, size):
        own_queries["long"] = "SELECT length(:text) AS length"
        db.query("long", text="")
        session = session_of(db)
        if end:
            db.run_script(end)
            db.in_transaction = "BEGIN" in end
        else:
            owner.run_script(f"SELECT pg_terminate_backend({session})")
        until(lambda: owner.run_script(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {session}") == [[0]])
        with pytest.raises(DatabaseGone, match=f"^Lost the database connection: {words}$"):
            db.query("long", text="x" * size)

    def test_a_fatal_error_of_any_code_ends_the_session(self, db):
        db.run_script("SET exit_on_error = on")
        with pytest.raises(DatabaseGone, match=r"^Lost the database connection: division by zero$"):
            db.run_script("SELECT 1 / 0")
        assert db.query("ping")


class TestSigningIn:
    @pytest.fixture
    def other(self, superuser, config):
        """``other(statements, **changes)``: open another connection with the test's own role and database."""
        role, name = f"other_{config.database_name}", f"{config.database_name}_other"
        opened = []

        def other(*statements, **changes):
            for statement in (f"CREATE ROLE {role} LOGIN", f"CREATE DATABASE {name}", *statements):
                superuser.run_script(statement.format(role=role, name=name))
            settings = dataclasses.replace(config, **{"database_user": role, "database_name": name} | changes)
            opened.append(Database(settings))
            return opened[-1]

        yield other
        for db in opened:
            db.close()
        superuser.run_script(f"DROP DATABASE IF EXISTS {name}")
        superuser.run_script(f"DROP ROLE IF EXISTS {role}")

    @pytest.mark.parametrize(
        ("statements", "changes", "says", "advice"),
        [
            ([], {"database_user": "stranger"}, 'role "stranger" does not exist', "Check that the role exists"),
            (["ALTER ROLE {role} NOLOGIN"], {}, "is not permitted to log in", "Check that the role exists"),
            (
                ["ALTER ROLE {role} NOLOGIN"],
                {"database_auth": "iam"},
                "is not permitted to log in",
                "rds-db:connect",
            ),
            ([], {"database_name": "nowhere"}, 'database "nowhere" does not exist', "correct DATABASE_NAME"),
            (
                ["REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"],
                {},
                "permission denied for database",
                "GRANT CONNECT ON DATABASE",
            ),
            (["ALTER DATABASE {name} ALLOW_CONNECTIONS false"], {}, "is not currently accepting connections", "."),
        ],
    )
    def test_a_refusal_names_role_and_server_and_what_to_do(
        self, other, keys, config, statements, changes, says, advice
    ):
        db = other(*statements, **changes)
        with pytest.raises(SignInRefused) as refused:
            db.query("ping")
        sentence = str(refused.value)
        role = changes.get("database_user", db._config.database_user)
        assert sentence.startswith(f"The database at 127.0.0.1:{config.database_port} does not let {role} sign in: ")
        assert says in sentence
        assert advice in sentence
        assert "Lost" not in sentence

    def test_no_free_slot_is_passing_trouble(self, other):
        db = other("ALTER ROLE {role} CONNECTION LIMIT 0")
        with pytest.raises(DatabaseGone, match=r"^Cannot connect to the database at .*: too many connections for role"):
            db.query("ping")

    def test_a_server_that_asks_for_a_password_refuses_none(self, other, postgres, superuser):
        hba = postgres.data / "pg_hba.conf"
        before = hba.read_text()
        try:
            db = other("ALTER ROLE {role} PASSWORD 'secret'")
            hba.write_text(f"host all {db._config.database_user} 127.0.0.1/32 scram-sha-256\n{before}")
            superuser.run_script("SELECT pg_reload_conf()")
            with pytest.raises(SignInRefused, match="password authentication failed"):
                db.query("ping")
        finally:
            hba.write_text(before)
            superuser.run_script("SELECT pg_reload_conf()")

    def test_an_address_that_is_nobodys_was_never_connected(self, config):
        with pytest.raises(DatabaseGone, match=r"^Cannot connect to the database at 127.0.0.1:1: Connection refused$"):
            Database(dataclasses.replace(config, database_port=1)).query("ping")

    @pytest.fixture
    def keys(self, monkeypatch):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            monkeypatch.setenv(name, "testing")


class TestThreads:
    def test_each_gets_the_rows_that_it_asked_for(self, db, own_queries):
        for number in range(8):
            own_queries[f"series_{number}"] = (
                f"SELECT {number} AS number, n, :asked::int AS asked FROM generate_series(1, 50) n"
            )

        def ask(asked):
            return db.query(f"series_{asked % 8}", asked=asked)

        with ThreadPoolExecutor(8) as pool:
            for asked, rows in enumerate(pool.map(ask, range(400))):
                assert rows == [{"number": asked % 8, "n": n, "asked": asked} for n in range(1, 51)]

    def test_the_threads_of_a_job_read_write_and_ask_whether_to_stop(self, cloud, db, owner, own_queries):
        owner.run_script("CREATE TABLE notes (note int); GRANT ALL ON notes TO nightshift_tests")
        own_queries["write_note"] = "INSERT INTO notes VALUES (:note::int) RETURNING note"
        own_queries["echo"] = "SELECT :value::int AS value"
        run_id = system_run(owner, "db_pruning")
        row = claim(db, run_id, 0, lease_s=60, request_id="threads")[0]
        from nightshift.jobs.registry import JOB_TYPES

        current = Slice(
            typed(ClaimedSlice, row), job_type=JOB_TYPES["db_pruning"], db=db, settings=cloud, remaining_s=lambda: 60
        )

        def page(number):
            return (
                current.step.read("echo", value=number)[0]["value"],
                current.step.write("write_note", note=number)[0]["note"],
                current.is_cancelled(),
            )

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(page, range(200))) == [(number, number, False) for number in range(200)]
        current.rollback()
        assert owner.run_script("SELECT count(*) FROM notes") == [[0]]

    def test_what_one_loses_the_others_do_not_write_alone(self, db, owner, own_queries):
        owner.run_script("CREATE TABLE notes (note int); GRANT ALL ON notes TO nightshift_tests")
        own_queries["write_note"] = "INSERT INTO notes VALUES (:note::int)"
        db.begin()
        db.query("write_note", note=0)
        owner.run_script(f"SELECT pg_terminate_backend({session_of(db)}, 60000)")
        errors = []

        def write(note):
            try:
                db.query("write_note", note=note)
            except DatabaseGone as exc:
                errors.append(exc)

        threads = [threading.Thread(target=write, args=(note,)) for note in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(errors) == 8
        assert owner.run_script("SELECT count(*) FROM notes") == [[0]]


class TestReading:
    MOMENTS = [
        ("infinity", datetime.max),
        ("-infinity", datetime.min),
        ("294276-12-31 23:59:59", datetime.max),
        ("10000-01-01", datetime.max),
        ("0044-03-15 12:00:00 BC", datetime.min),
        ("4713-01-01 00:00:00 BC", datetime.min),
        ("0001-01-01 00:00:00", datetime.min),
        ("9999-12-31 23:59:59.999999", datetime.max),
        ("2026-02-03 04:05:06", datetime(2026, 2, 3, 4, 5, 6)),
        ("2026-02-03 04:05:06.78", datetime(2026, 2, 3, 4, 5, 6, 780000)),
    ]

    @pytest.mark.parametrize(("text", "moment"), MOMENTS)
    def test_every_moment_is_one_of_pythons(self, db, text, moment):
        [[stamp, stamps, plain, plains, day, days]] = db.run_script(
            f"SELECT s, ARRAY[s, NULL], t, ARRAY[t], d, ARRAY[d, d] FROM"
            f" (SELECT timestamptz '{text}' AS s, timestamp '{text}' AS t, date '{text.partition('.')[0]}' AS d) AS x"
        )
        aware = moment.replace(tzinfo=UTC)
        assert (stamp, stamps, plain, plains) == (aware, [aware, None], moment, [moment])
        assert (day, days) == (moment.date(), [moment.date()] * 2)
        assert stamp.astimezone(UTC).utcoffset() is not None

    @pytest.mark.parametrize("style", ["SQL, DMY", "SQL, MDY", "German", "Postgres, DMY"])
    @pytest.mark.parametrize(
        "value", ["timestamptz '2026-02-03 04:05:06Z'", "timestamp '2026-02-03'", "date '2026-02-03'"]
    )
    def test_a_day_and_a_month_are_never_guessed(self, db, style, value):
        db.run_script(f"SET DateStyle = '{style}'")
        with pytest.raises(DatabaseGone, match=r"it sent a date that is not ISO 8601\. Set its DateStyle to ISO"):
            db.run_script(f"SELECT {value}")
        assert db.run_script(f"SELECT {value}")[0][0].month == 2

    def test_the_zone_of_a_session_changes_no_moment(self, db):
        db.run_script("SET timezone = 'Asia/Kolkata'")
        [[moment]] = db.run_script("SELECT timestamptz '2026-02-03 04:05:06Z'")
        assert moment == datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
        assert db.run_script("SELECT date '2026-02-03'") == [[date(2026, 2, 3)]]


class TestQueryFiles:
    @pytest.mark.parametrize(
        ("query", "text", "names"),
        [
            ("SELECT :a, :b, :a", "SELECT $1, $2, $1", ("a", "b")),
            ("SELECT list[1:2]", "SELECT list[1:2]", ()),
            ("SELECT list[2:], list[:2], list[:]", "SELECT list[2:], list[:2], list[:]", ()),
            ("SELECT list[lo:hi]", "SELECT list[lo:hi]", ()),
            ('SELECT list[(lo):"hi"], list[a[1]:2]', 'SELECT list[(lo):"hi"], list[a[1]:2]', ()),
            ("SELECT list[1: :last], list[:first]", "SELECT list[1: $1], list[$2]", ("last", "first")),
            ("SELECT list[:first::int : :last::int]", "SELECT list[$1::int : $2::int]", ("first", "last")),
            ("SELECT f(a := :a, b => :b)", "SELECT f(a := $1, b => $2)", ("a", "b")),
            ("SELECT ':a', E'it\\'s :a', E'\\\\', :b", "SELECT ':a', E'it\\'s :a', E'\\\\', $1", ("b",)),
            ("SELECT 'it''s :a', \"a \"\":b\"", "SELECT 'it''s :a', \"a \"\":b\"", ()),
            ("SELECT $$ :a $$, $tag$ :b $$ $tag$, :c", "SELECT $$ :a $$, $tag$ :b $$ $tag$, $1", ("c",)),
            ("SELECT 1 -- nobody's :a\n, :b /* it's :c */", "SELECT 1 \n, $1 /* it's :c */", ("b",)),
            ("SELECT a$1 FROM t WHERE x=:y", "SELECT a$1 FROM t WHERE x=$1", ("y",)),
            ("SELECT :größe", "SELECT $1", ("größe",)),
        ],
    )
    def test_a_colon_is_read_as_postgres_reads_it(self, query, text, names):
        parsed = parse(query)
        assert (parsed.text, parsed.names) == (text, names)

    def test_slices_casts_and_named_arguments_reach_postgres(self, db, own_queries):
        own_queries["slices"] = """
            -- It's the middle that is wanted.
            SELECT (ARRAY[1, 2, 3, 4])[2:3] AS fixed, (:list::int[])[:first::int : :last::int] AS bound,
                   make_interval(hours := :hours::int)::text AS hours, 'a:b'::text AS text
        """
        assert db.query("slices", list=[5, 6, 7, 8], first=2, last=3, hours=2) == [
            {"fixed": [2, 3], "bound": [6, 7], "hours": "02:00:00", "text": "a:b"}
        ]

    def test_a_numbered_parameter_is_refused_with_its_place(self, db, own_queries):
        with pytest.raises(NumberedParameter, match=r"^line 2 has \$1; give the parameter a name, as in :project_id$"):
            parse("SELECT '$2',\n$1")
        own_queries["numbered"] = "SELECT $1"
        with pytest.raises(BadQuery, match=r"numbered\.sql, line 1 has \$1"):
            db.query("numbered")

    def test_a_slice_that_reads_as_a_parameter_is_refused_with_its_name(self, db, own_queries):
        own_queries["ambiguous"] = "SELECT list[:n] FROM lists"
        with pytest.raises(BadQuery, match="Query ambiguous was called with the wrong parameters; missing: n"):
            db.query("ambiguous")
