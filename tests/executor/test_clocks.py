"""Our statements read the current time, never the beginning of the transaction; and their searches can use an index.

A step's transaction, or a statement in it, may have waited for a lock. With ``now()`` and its synonyms, a lease, a wait
or a cut-off would then begin too early. A search for rows is the opposite: ``clock_timestamp()`` can differ between two
rows, so Postgres uses no index for a comparison with it, and reads every row that the table has ever kept.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from nightshift.database.queries import query_files, query_text

TOKEN = re.compile(
    r"""
    (?P<space>  \s+ | --[^\n]* | /\*.*?\*/ )
  | (?P<dollar> (?P<tag>\$(?:[^\W\d]\w*)?\$) (?P<body>.*?) (?P=tag) )
  | (?P<text>   [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' )
  | (?P<quoted> "(?:[^"]|"")*" )
  | (?P<word>   [^\W\d][\w$]* )
  | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)
FUNCTIONS = {"now", "transaction_timestamp", "statement_timestamp"}
KEYWORDS = {"current_timestamp", "current_date", "current_time", "localtimestamp", "localtime"}
# Words that Postgres converts to a time of the transaction when a text becomes a time.
WORDS_FOR_TIMES = {"now", "today", "tomorrow", "yesterday"}

# Queries that read statement_timestamp(). An index supports a comparison with it, but not with clock_timestamp(), which
# can differ between rows. It stands still while the statement waits; the next sweep or request then checks again.
BY_STATEMENT = {
    *("claim_overdue_successes", "claim_set_aside", "claim_unsent", "delete_pauses", "due_runs"),
    *("failed_system_runs", "find_work", "insert_run", "list_successes", "missed_slots", "old_alerts", "old_runs"),
    *(
        "late_team_schedules",
        "old_deliveries",
        "old_audit_entries",
        "ended_sessions",
        "expired_sign_ins",
        "unused_sign_in_shares",
        "old_slots",
        "old_team_schedules",
        "old_team_slots",
        "outbox_trouble",
    ),
    *("count_endings", "old_days"),
    *("keys_to_look_at", "look_at_keys", "start_due_schedules"),
    *("overdue_successes", "prune_alerts", "stuck_runs"),
    *("team_failures", "unsent_notices"),
    *("confirm_bulk_action", "count_bulk_actions", "give_up_bulk_items", "old_bulk_actions", "old_bulk_items"),
    *("open_bulk_items", "rerun_bulk_items"),
}
# Queries that compare with clock_timestamp(). They find their rows by a key. A statement that has waited for the lock
# of such a row must see the present time: a lease or a claim may have begun in the meantime.
BY_KEY = {
    *("claim_outbox", "end_overlong", "expire_leases", "find_api_key", "forget_idempotency_key", "insert_run"),
    *("ask_addresses", "confirm_address", "list_team_alerts"),
    *("list_live_agent_keys", "resend_due", "take_mail_deliveries", "take_mail_share"),
    # Of one team or project, or of one key.
    *("count_live_keys", "insert_api_key", "list_team_keys", "lock_team_key"),
    *("delete_project_pause", "list_project_pauses", "store_project_pause"),
    # Of one job type's few places, and of the longest held of its runs.
    *("free_place", "take_place"),
    *(
        "claim_code_mail",
        "end_sessions",
        "enter_secret",
        "find_session",
        "insert_session",
        "list_sessions",
        "prune_sessions",
    ),
    *("prune_sign_in_shares", "touch_session"),
}


def frozen_clocks(sql: str) -> Iterator[str]:
    """Return each use of a frozen clock in statements, bodies of functions and dynamic SQL."""
    tokens = [token for token in TOKEN.finditer(sql) if not token["space"]]
    for token, following in zip_longest(tokens, tokens[1:]):
        word = (token["word"] or (token["quoted"] or "")[1:-1]).lower()
        is_called = following is not None and following[0] == "("
        if (word in FUNCTIONS and is_called) or (word in KEYWORDS and token["word"]):
            yield word
        elif token["dollar"]:
            yield from frozen_clocks(token["body"])
        elif token["text"]:
            text = token["text"].lstrip("eE")[1:-1]
            if text.strip().lower() in WORDS_FOR_TIMES:
                yield f"'{text}'"
            yield from frozen_clocks(text.replace("''", "'"))


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT now()", ["now"]),
        ("SELECT NOW ( )", ["now"]),
        ("SELECT pg_catalog.now()", ["now"]),
        ('SELECT "now" /* at once */ ()', ["now"]),
        ("SELECT CURRENT_TIMESTAMP(3), localtimestamp", ["current_timestamp", "localtimestamp"]),
        ("SELECT transaction_timestamp()", ["transaction_timestamp"]),
        ("SELECT 'now'::timestamptz, CAST(E' Today ' AS date)", ["'now'", "' Today '"]),
        ("DO $a$ BEGIN PERFORM $b$ x $b$; EXECUTE 'SELECT now()'; END $a$", ["now"]),
        ("SELECT statement_timestamp()", ["statement_timestamp"]),
        ("SELECT clock_timestamp() AS now, x.now FROM x", []),
        ("SELECT 1 -- now()\n/* current_date */", []),
        ("SELECT 'It is over by now.', \"current_date\"", []),
    ],
)
def test_a_clock_is_found_where_it_is_read_and_nowhere_else(sql, found):
    assert list(frozen_clocks(sql)) == found


@pytest.mark.parametrize(
    "paths", [query_files().values(), Path("sql/jobs").glob("*.sql")], ids=["queries", "migrations"]
)
def test_no_statement_reads_a_clock_that_stands_still(paths):
    for path in sorted(paths):
        found = set(frozen_clocks(path.read_text()))
        if path.stem in BY_STATEMENT:
            found -= {"statement_timestamp"}
        assert not found, (
            f"{path} reads {', '.join(sorted(found))}, which stands still while a transaction or a statement waits for "
            "a lock. Use clock_timestamp(); or statement_timestamp() and BY_STATEMENT in this test, where an index has "
            "to serve the comparison and the next statement looks again"
        )


def test_every_exception_is_still_one():
    for name in BY_STATEMENT:
        assert "statement_timestamp" in frozen_clocks(query_text(name)), name


def bounds_by_the_clock(sql: str) -> int:
    """Count the comparisons of order with clock_timestamp(), alone or with an interval added or subtracted."""
    bare = "".join(" " if token["space"] else token[0] for token in TOKEN.finditer(sql))
    clock = r"clock_timestamp \( \) (?: [-+] (?: interval '[^']*' | make_interval \( .*? \) \) ) )?"
    compared = rf"(?: (?<!=)[<>] | [<>]= | \bBETWEEN\b | \bAND\b ) {clock} | {clock} (?: [<>](?!=>) | \bBETWEEN\b )"
    return len(re.findall(compared.replace(" ", r"\s*"), bare, re.IGNORECASE | re.DOTALL))


@pytest.mark.parametrize(
    ("sql", "bounds"),
    [
        ("WHERE send_at <= clock_timestamp()", 1),
        ("WHERE send_at>Clock_Timestamp ( ) - interval '1 day'", 1),
        ("WHERE clock_timestamp() - make_interval(secs => CAST(:grace_s AS float8)) > send_at", 1),
        ("WHERE clock_timestamp() >= a AND b /* ago */ < clock_timestamp()", 2),
        ("WHERE moment BETWEEN a AND clock_timestamp()", 1),
        ("SET at = clock_timestamp(), b = make_interval(secs => 1), c = f(x => clock_timestamp())", 0),
        ("WHERE send_at <= statement_timestamp() -- < clock_timestamp()", 0),
        ("SELECT 1 < 2, clock_timestamp() AS now", 0),
    ],
)
def test_a_bound_is_found_on_either_side_of_the_comparison(sql, bounds):
    assert bounds_by_the_clock(sql) == bounds


def test_no_search_is_bounded_by_a_clock_that_no_index_serves():
    # A job decides for its own queries: its step may have waited, and its tables are its own.
    ours = {path.stem: path for path in Path("sql/queries").glob("*/*.sql")}
    found = {name for name, path in ours.items() if bounds_by_the_clock(path.read_text())}
    assert found == BY_KEY, (
        "An index serves a comparison with statement_timestamp(), not with clock_timestamp(). A query that finds its "
        "rows by a key belongs in BY_KEY of this test"
    )
