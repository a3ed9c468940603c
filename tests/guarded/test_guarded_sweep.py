"""Each kind of trouble that the sweep heals: the rows that need healing, and rows that narrowly do not.

One table of kinds covers three statements: the search for work, the query that finds the rows, and the statement that
checks and heals them. Each kind creates the rows to be found, in order, and the rows not to be found.
"""

import uuid
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from nightshift.testing.rows import make_team
from tests.guarded.world_at_noon import (
    ENDED,
    LEASED,
    NOON,
    PENDING,
    SENT,
    WAITING,
    Changes,
    at,
    days,
    insert,
    notice,
    rows,
    run,
    slice_over,
    the_real_time,
)

R, H = 120, 3600
OLD = days(90)


def expired(owner):
    left = [run(owner, LEASED, lease_expires_at=at(0.001)), run(owner, WAITING), run(owner), run(owner, ENDED)]
    late = [run(owner, LEASED, lease_expires_at=at(seconds)) for seconds in (0, -60)]
    return late[::-1], left


def overlong(owner):
    outside = [{"ends_by": at(0.001)}, {"ends_by": None}]
    left = [*(run(owner, WAITING, **columns) for columns in outside)]
    left += [run(owner, state, ends_by=at(-60)) for state in (LEASED, ENDED)]
    late = [run(owner, WAITING, ends_by=at(0)), run(owner, PENDING, ends_by=at(-60))]
    return late[::-1], left


def unclaimed(owner):
    left = [run(owner, WAITING, resend_at=at(0.001)), run(owner, LEASED), run(owner, ENDED)]
    late = [run(owner, WAITING, resend_at=at(0)), run(owner, PENDING, resend_at=at(-60))]
    return late[::-1], left


def untold(owner):
    left = [run(owner, ENDED), run(owner)]
    late = [run(owner, ENDED, untold="its mail", completed_at=at(seconds)) for seconds in (-1, -60)]
    return late[::-1], left


def of(team, **columns):
    return {"team_id": team.id, "project_id": team.project_id, **columns}


def moved(owner):
    here, there = make_team(owner, slug="here"), make_team(owner, slug="there")
    key = {"idempotency_key": "\\x00", "request_hash": "\\x00"}
    left = [run(owner, PENDING, **of(here), **key), run(owner)]
    left.append(run(owner, ENDED, team_id=there.id, project_id=here.project_id))
    gone = [
        run(owner, state, team_id=there.id, project_id=here.project_id, created_at=at(seconds))
        for state, seconds in ((PENDING, -1), (LEASED, -60))
    ]
    return gone[::-1], left


def deleted(owner):
    teams = {name: make_team(owner, slug=name) for name in ("here", "project_gone", "team_gone")}
    owner.run_script(
        f"UPDATE projects SET deleted_at = now() WHERE id = '{teams['project_gone'].project_id}';"
        f"UPDATE teams SET deleted_at = now() WHERE id = '{teams['team_gone'].id}'"
    )
    gone = of(teams["project_gone"])
    left = [run(owner, PENDING, **of(teams["here"])), run(owner), run(owner, ENDED, **gone)]
    left.append(run(owner, LEASED, **gone, cancel_requested_at=at(-1)))
    late = [
        run(owner, PENDING, **gone, created_at=at(-1)),
        run(owner, LEASED, **of(teams["team_gone"]), created_at=at(-60)),
        run(owner, PENDING, **of(teams["here"], project_id=str(uuid.uuid4())), created_at=at(-90)),
    ]
    left.append(run(owner, ENDED, **of(teams["here"], project_id=str(uuid.uuid4()))))
    return late[::-1], left


def old_runs(owner):
    long_ago = {"completed_at": at(-OLD), "started_at": at(-OLD - 60)}
    left = [
        run(owner, ENDED, completed_at=at(-OLD + 0.001)),
        run(owner, ENDED, **long_ago, untold="its mail"),
        run(owner, ENDED, **long_ago),
        run(owner, WAITING, started_at=at(-OLD - 60)),
    ]
    insert(owner, "job_outbox", run_id=left[2])
    late = [run(owner, ENDED, **(long_ago | {"completed_at": at(-OLD - seconds)})) for seconds in (0, 60)]
    left.append(run(owner, ENDED, **long_ago))
    for run_id, state in ((left[-1], {}), (late[0], SENT)):
        digest_id = notice(owner, team_id=str(uuid.uuid4()), recipient="a@x", **state)
        mail = {**SENT, "status": "digested", "digest_id": digest_id}
        insert(owner, "job_outbox", run_id=run_id, recipient="a@x", **mail)
    for run_id in late:
        insert(owner, "job_outbox", run_id=run_id, status="sent", ended_at=at(-1), send_at=None)
        slice_over(owner, run_id)
    return late[::-1], left


def unsent(owner):
    left = [notice(owner, send_at=at(0.001)), notice(owner, **SENT)]
    late = [notice(owner, send_at=at(seconds)) for seconds in (0, -60)]
    return late[::-1], left


def old_alerts(owner):
    long_ago = {**SENT, "ended_at": at(-OLD - 1)}
    left = [notice(owner, **long_ago, run_id=run(owner, ENDED)), notice(owner, **SENT), notice(owner)]
    left.append(notice(owner, **(SENT | {"ended_at": at(-OLD + 0.001)})))
    late = [notice(owner, **(SENT | {"ended_at": at(-OLD - seconds)})) for seconds in (0, 60)]
    return late[::-1], left


def slot(owner, name, seconds, decided_s):
    insert(owner, "job_schedule_slots", job_type=name, slot=at(seconds), outcome="missed", decided_at=at(decided_s))
    return f"{name} {(NOON + timedelta(seconds=seconds)).timestamp():.6f}"


def old_slots(owner):
    left = [slot(owner, "one", 0, -OLD + 0.001), slot(owner, "two", 60, -1)]
    late = [slot(owner, "one", 60, -OLD), slot(owner, "two", 0, -OLD - 60)]
    return late[::-1], left


def old_audit_entries(owner):
    def entry(seconds):
        id_ = str(uuid.uuid4())
        told = {"actor": "operator:ada", "action": "x.y", "subject_type": "x", "subject_id": "x", "request_id": "r"}
        insert(owner, "job_audit_entries", id=id_, occurred_at=at(seconds), **told)
        return id_

    left = [entry(-days(365) + 0.001), entry(-1)]
    late = [entry(-days(365)), entry(-days(365) - 60)]
    return late[::-1], left


def old_days(owner):
    """Days as numbers: a key is a serial number."""

    def day(ago):
        columns = {"job_type": "x", "day": at(-days(ago))[:10], "completed": 1, "failed": 0, "cancelled": 0}
        insert(owner, "job_days", **columns, took="{}", waited="{}")
        return str(owner.run_script("SELECT max(id) FROM job_days")[0][0])

    left = [day(30), day(0)]
    return [day(31), day(32)][::-1], left


def old_sign_ins(owner):
    def sign_in(seconds):
        id_ = str(uuid.uuid4())
        insert(owner, "job_sign_ins", id=id_, secret_hash="", user_id=str(uuid.uuid4()), expires_at=at(seconds))
        return id_

    left = [sign_in(0.001), sign_in(60)]
    return [sign_in(0), sign_in(-60)][::-1], left


def old_sign_in_shares(owner):
    for key, seconds in (("source one", 0.001), ("source two", 0), ("all", -60)):
        insert(owner, "job_sign_in_shares", key=key, taken_at="{}", free_at=at(seconds))
    return ["all", "source two"], ["source one"]


def old_sessions(owner):
    def session(seconds):
        id_ = str(uuid.uuid4())
        known = {
            "user_id": id_,
            "token_hash": id_,
            "is_cookie": True,
            "signed_in_by": "code",
            "source": "",
            "browser": "",
        }
        insert(owner, "job_sessions", id=id_, created_at=at(-days(1)), ends_at=at(seconds), **known)
        return id_

    left = [session(0.001), session(60)]
    return [session(0), session(-60)][::-1], left


def slots(owner):
    owner.run_script("DELETE FROM job_schedules")
    for name, seconds in (("one", 0.001), ("unknown", -60), ("late", 0), ("later", -60)):
        insert(owner, "job_schedules", job_type=name, cron="* * * * *", active_since=at(-999), next_slot=at(seconds))
    return ["later", "late"], ["one", "unknown"]


def team_schedule(owner, project_id, **columns):
    schedule_id = str(uuid.uuid4())
    own = {"id": schedule_id, "project_id": project_id, "job_type": "revenuecat_sync", "created_by": "manual:user:x"}
    insert(owner, "job_team_schedules", **(own | {"name": "", "zone": "UTC", "params": {}} | columns))
    return schedule_id


def team_slots(owner):
    project_id = make_team(owner).project_id
    slots = [(0.001, "1"), (None, "2"), (0, "3"), (-60, "4")]
    ids = [
        team_schedule(owner, project_id, cron=f"{minute} * * * *", next_slot=None if seconds is None else at(seconds))
        for seconds, minute in slots
    ]
    return ids[:1:-1], ids[:2]


def team_slot(owner, schedule_id, seconds, decided_s):
    insert(
        owner, "job_team_slots", schedule_id=schedule_id, slot=at(seconds), outcome="missed", decided_at=at(decided_s)
    )
    return f"{schedule_id} {(NOON + timedelta(seconds=seconds)).timestamp():.6f}"


def old_team_slots(owner):
    project_id = make_team(owner).project_id
    one, two = (team_schedule(owner, project_id, cron=f"{minute} * * * *") for minute in (1, 2))
    left = [team_slot(owner, one, 0, -OLD + 0.001), team_slot(owner, two, 60, -1)]
    late = [team_slot(owner, one, 60, -OLD), team_slot(owner, two, 0, -OLD - 60)]
    return late[::-1], left


def old_team_schedules(owner):
    project_id = make_team(owner).project_id
    left = [
        team_schedule(owner, project_id, run_at=at(-OLD + 0.001)),
        team_schedule(owner, project_id, run_at=at(-OLD - 30), next_slot=at(5)),
        team_schedule(owner, project_id, cron="0 0 * * *"),
    ]
    late = [team_schedule(owner, project_id, run_at=at(-OLD - seconds)) for seconds in (0, 60)]
    return late[::-1], left


def keys(owner):
    keys = [str(uuid.uuid4()) for _ in range(3)]
    for key_id, seconds in zip(keys, (0.001, 0, -60), strict=True):
        insert(owner, "job_agent_keys", key_id=key_id, look_at=at(seconds))
    return keys[:0:-1], keys[:1]


def silent(owner):
    for name, seconds in (("well", 0.001), ("late", 0), ("later", -60)):
        insert(owner, "job_successes", job_type=name, expected_within="1 hour", overdue_at=at(seconds), since=at(-9999))
    return ["later", "late"], ["well"]


def team_alert(owner, team_id=None, **columns):
    alert_id = str(uuid.uuid4())
    own = {"team_id": team_id or make_team(owner, slug=alert_id).id, "name": "", "created_by": "x", "channel": "mail"}
    own |= {"id": alert_id, "events": ["failed"], "config": {}, "minutes_between": 0, "active_since": at(-999)}
    insert(owner, "job_alerts", **(own | {"quiet_until": at(-999)} | columns))
    return alert_id


PAUSED = {"paused_at": at(-9), "paused_by": "x", "paused_why": "y"}


def alerts_overdue(owner):
    def one(seconds, **columns):
        overdue = {"events": ["overdue"], "overdue_hours": 1, "overdue_look_at": at(seconds)}
        return team_alert(owner, **overdue, **columns)

    left = [one(0.001), one(-30, **PAUSED), one(-30, deleted_at=at(-1)), team_alert(owner)]
    return [one(0), one(-60)][::-1], left


def alerts_paused(owner):
    left = [team_alert(owner, **PAUSED), team_alert(owner)]
    late = [team_alert(owner, **PAUSED | {"paused_at": at(seconds)}, pause_untold=True) for seconds in (-5, -60)]
    return late[::-1], left


def alerts_gone(owner):
    left = [team_alert(owner)]
    return sorted([team_alert(owner, deleted_at=at(-1)), team_alert(owner, str(uuid.uuid4()))]), left


def delivery(owner, alert_id, **columns):
    delivery_id = str(uuid.uuid4())
    own = {"id": delivery_id, "alert_id": alert_id, "team_id": alert_id, "kind": "failed", "about": delivery_id}
    own |= {"data": {}, "expires_at": at(9), "created_at": at(-1)}
    insert(owner, "job_alert_deliveries", **(own | {"status": "sent", "ended_at": at(0)} | columns))
    return delivery_id


def alerts_delivered(owner):
    left = [delivery(owner, team_alert(owner), created_at=at(-OLD + 0.001))]
    late = [delivery(owner, team_alert(owner), created_at=at(-OLD - seconds)) for seconds in (0, 60)]
    return late[::-1], left


def alerts_due(owner):
    unsent = {"status": "unsent", "ended_at": None}

    def one(*, of=(), created_s=-9, **columns):
        alert_id = team_alert(owner, **dict(of))
        delivery(owner, alert_id, created_at=at(created_s), **(unsent | {"send_at": at(0)} | columns))
        return alert_id

    def waits(team_id, **columns):
        mail = {"content": {"subject": "s", "lines": [], "alert_id": "x"}, "recipient": "a@x", "send_at": at(0)}
        insert(owner, "job_outbox", **(mail | {"team_id": team_id} | columns))
        return {"team_id": team_id}

    def team():
        return str(uuid.uuid4())

    held = {"status": "held", "send_at": None}
    left = [
        one(of=waits(team())),
        one(of=waits(team()), **held),
        one(send_at=at(0.001)),
        one(of={"retry_at": at(0.001)}),
        one(of={"claimed_until": at(0.001)}),
        one(of={"messaged_until": at(0.001)}),
        one(of={"quiet_until": at(0.001)}, **held),
    ]
    free = {"retry_at": at(0), "claimed_until": at(0), "messaged_until": at(0), "quiet_until": at(0)}
    late = [
        one(created_s=-10, of=free),
        one(created_s=-11, of=free, **held),
        one(created_s=-12, of={"retry_at": at(9)}, kind="test"),
        one(created_s=-13, of=PAUSED, send_at=at(9)),
        # Nothing of these waits for the team's share: it has had one try, it is sent, it is not of an alert.
        one(created_s=-14, of=waits(team(), attempts=1)),
        one(created_s=-15, of=waits(team(), status="sent", send_at=None, ended_at=at(-1))),
        one(created_s=-16, of=waits(team(), content={"subject": "s", "lines": []})),
        one(created_s=-17, of=waits(team()) | {"channel": "slack", "secret_encrypted": "\\x78"}),
        one(created_s=-18, of=waits(team()), expires_at=at(0)),
    ]
    return late[::-1], left


@dataclass(frozen=True)
class Kind:
    name: str
    make: object
    finder: str
    healer: str = ""
    horizon: dict = field(default_factory=dict)
    given: dict = field(default_factory=dict)
    table: str = "job_runs"
    key: str = "id"
    # Indexes among the rows that must not be found: rows that the search counts anyway, and rows that the healer does
    # not check.
    counted: tuple = ()
    unheeded: tuple = ()


AGE = {"retention_s": OLD}
RESEND = {"resend_delay_s": R, "resend_ceiling_s": H}
LOST = {"lost_slices_limit": 5, "lost_slices_ceiling": 20, "resend_delay_s": R}
KINDS = [
    Kind("expired", expired, "due_runs", "expire_leases", given=LOST),
    Kind("overlong", overlong, "due_runs", "end_overlong"),
    Kind("unclaimed", unclaimed, "due_runs", "resend_due", given=RESEND),
    Kind("untold", untold, "untold_runs", "tell_of_endings"),
    Kind("moved", moved, "misplaced_runs", "rehome_runs"),
    Kind("deleted", deleted, "misplaced_runs", "stop_deleted"),
    Kind("old_runs", old_runs, "old_runs", "prune_runs", AGE, counted=(1, 2, 4), unheeded=(0,)),
    Kind("unsent", unsent, "unsent_notices", "claim_unsent", given=RESEND, table="job_outbox"),
    Kind("old_alerts", old_alerts, "old_alerts", "prune_alerts", AGE, table="job_outbox", unheeded=(1, 3)),
    Kind(
        *("old_slots", old_slots, "old_slots", "", AGE),
        table="job_schedule_slots", key="job_type || ' ' || CAST(extract(epoch FROM slot) AS text)",
    ),
    Kind("old_audit_entries", old_audit_entries, "old_audit_entries", table="job_audit_entries"),
    Kind("old_days", old_days, "old_days", table="job_days"),
    Kind("old_sign_ins", old_sign_ins, "expired_sign_ins", table="job_sign_ins"),
    Kind("old_sign_in_shares", old_sign_in_shares, "unused_sign_in_shares", table="job_sign_in_shares", key="key"),
    Kind("old_sessions", old_sessions, "ended_sessions", table="job_sessions"),
    Kind(
        *("slots", slots, "overdue_schedules", ""),
        {"until": at(0), "job_types": ["late", "later", "one"]}, table="job_schedules", key="job_type", counted=(1,),
    ),
    Kind("team_slots", team_slots, "due_schedules", "", {"now": at(0)}, table="job_team_schedules"),
    Kind(
        *("old_team_slots", old_team_slots, "old_team_slots", "", AGE),
        table="job_team_slots", key="schedule_id || ' ' || CAST(extract(epoch FROM slot) AS text)",
    ),
    Kind(
        *("old_team_schedules", old_team_schedules, "old_team_schedules", "prune_team_schedules", AGE),
        table="job_team_schedules", unheeded=(0,),
    ),
    Kind("keys", keys, "keys_to_look_at", table="job_agent_keys", key="key_id"),
    Kind("alerts_overdue", alerts_overdue, "overdue_alerts", "", {"now": at(0)}, table="job_alerts"),
    Kind("alerts_paused", alerts_paused, "untold_pauses", table="job_alerts"),
    Kind("alerts_gone", alerts_gone, "gone_alerts", table="job_alerts"),
    Kind("alerts_delivered", alerts_delivered, "old_deliveries", "", AGE, table="job_alert_deliveries"),
    Kind("alerts_due", alerts_due, "due_alerts", "", {"now": at(0)}, table="job_alerts", counted=(0, 1, 2, 3, 4, 5, 6)),
    Kind("silent", silent, "overdue_successes", "claim_overdue_successes", table="job_successes", key="job_type"),
]  # fmt: skip
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
each_healed_kind = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.healer], ids=lambda kind: kind.name)


def find(noon, kind, *, at_most=100):
    found = noon.query(kind.finder, at_most=at_most, **kind.horizon)
    return [row["key"] for row in found if row.get("healer", kind.name) == kind.name]


def lock(owner, kind, key):
    owner.begin()
    owner.run_script(f"SELECT FROM {kind.table} WHERE {kind.key} = '{key}' FOR UPDATE")


@each_kind
def test_the_rows_are_found_in_their_order_and_no_others(owner, noon, kind):
    late, _ = kind.make(owner)
    assert find(noon, kind) == late
    assert find(noon, kind, at_most=1) == late[:1]


@each_healed_kind
def test_a_row_that_another_session_holds_is_not_waited_for(owner, noon, kind):
    late, _ = kind.make(owner)
    lock(owner, kind, late[0])
    assert find(noon, kind) == late
    changes = Changes(owner, kind.table, kind.key)
    noon.query(kind.healer, keys=late[:1], **kind.given)
    owner.rollback()
    assert changes() == {}


@each_healed_kind
def test_the_statement_that_heals_looks_at_its_condition_again(owner, noon, kind):
    late, left = kind.make(owner)
    looked_at = [key for number, key in enumerate(left) if number not in kind.unheeded]
    for key in reversed(late):
        before = rows(owner, kind.table, kind.key)
        noon.query(kind.healer, keys=[key, *looked_at], **kind.given)
        after = rows(owner, kind.table, kind.key)
        assert [other for other in before if after.get(other) != before[other]] == [key]


@each_kind
def test_the_search_for_work_sees_each_of_them_by_itself(owner, owner_at_noon, kind):
    late, left = kind.make(owner)
    others = [key for number, key in enumerate(left) if number not in kind.counted]
    trying = owner_at_noon
    for kept, is_found in (*(([key, *others], True) for key in late), (others, False)):
        trying.begin()
        trying.run_script(
            f"DELETE FROM job_outbox WHERE run_id IS NOT NULL AND '{kind.table}' = 'job_runs';"
            f"DELETE FROM {kind.table} WHERE NOT CAST({kind.key} AS text) = ANY ('{{{','.join(map(quoted, kept))}}}')"
        )
        assert trying.query("find_work", now=at(0), schedules_until=at(0), retention_s=OLD)[0][kind.name] is is_found
        trying.rollback()


# The tests of these are in test_guarded_bulk.py.
BULK = ("bulk_items", "bulk_items_old", "bulk_actions_old")


def quoted(key):
    return f'"{key}"'


class TestSearchForWork:
    def test_without_rows_the_answer_to_each_question_is_no(self, noon):
        [found] = noon.query("find_work", now=at(0), schedules_until=at(0), retention_s=OLD)
        others = ("alerts_of_runs", "logs", "failing", "uncounted", "set_aside", *BULK)
        assert found == dict.fromkeys([*(kind.name for kind in KINDS), *others], False)

    def test_what_was_sent_and_what_no_alert_has_is_not_due(self, owner, noon):
        delivery(owner, team_alert(owner))
        delivery(owner, str(uuid.uuid4()), status="unsent", ended_at=None, send_at=at(0))
        question = {"now": at(0), "schedules_until": at(0), "retention_s": OLD}
        assert noon.query("find_work", **question)[0]["alerts_due"] is False

    @pytest.mark.parametrize(
        ("alert", "until_s", "found"),
        [
            ({"active_since": at(-5)}, -9, True),
            ({"active_since": at(-4.999)}, -9, False),
            ({"active_since": at(-9)}, -5, True),
            ({"active_since": at(-9)}, -4.999, False),
            (PAUSED, -9, False),
            ({"deleted_at": at(-1)}, -9, False),
            (None, -9, False),
        ],
    )
    def test_runs_that_ended_since_the_last_look_are_seen_while_there_is_an_alert(
        self, owner, noon, alert, until_s, found
    ):
        team = make_team(owner)
        run(owner, ENDED, completed_at=at(-5), **of(team))
        owner.run_script(f"UPDATE job_sweep SET alerts_until = '{at(until_s)}'")
        if alert is not None:
            team_alert(owner, team.id, **alert)
        question = {"now": at(0), "schedules_until": at(0), "retention_s": OLD}
        assert noon.query("find_work", **question)[0]["alerts_of_runs"] is found
        insert(owner, "job_set_aside", healer="silent", key="x", error="e", attempts=1, retry_at=at(0))
        assert noon.query("find_work", **question)[0]["alerts_of_runs"] is found
        insert(owner, "job_set_aside", healer="alerts_of_runs", key="x", error="e", attempts=1, retry_at=at(0))
        assert noon.query("find_work", **question)[0]["alerts_of_runs"] is True

    @pytest.mark.parametrize(
        ("ended_s", "until_s", "found"),
        [(-120, -121, True), (-119.999, -121, False), (-120, -120, False), (-121, -120, False)],
    )
    def test_runs_are_to_be_counted_once_all_endings_before_theirs_are_committed(
        self, owner, noon, ended_s, until_s, found
    ):
        run(owner, ENDED, completed_at=at(ended_s))
        owner.run_script(f"UPDATE job_sweep SET counted_until = '{at(until_s)}'")
        question = {"now": at(0), "schedules_until": at(0), "retention_s": OLD}
        assert noon.query("find_work", **question)[0]["uncounted"] is found

    @pytest.mark.parametrize(
        ("columns", "failing"),
        [
            ({"completed_at": at(-3599)}, True),
            ({"completed_at": at(-3600)}, False),
            ({"completed_at": at(-3601)}, False),
            ({"completed_at": at(-3599), "status": "cancelled", "error": None}, False),
        ],
    )
    def test_the_teams_runs_that_failed_in_the_last_hour_are_counted(self, owner, noon, columns, failing):
        run(owner, ENDED, status="failed", error="e", completed_at=at(-1))
        team = make_team(owner)
        run(owner, {**ENDED, "status": "failed", "error": "e", **columns}, **of(team))
        found = noon.query("find_work", now=at(0), schedules_until=at(0), retention_s=OLD)[0]
        assert found["failing"] is failing

    def test_it_notes_that_the_sweep_came_and_waits_for_no_other(self, owner, noon):
        changes = Changes(owner, "job_sweep", "only_row")
        owner.begin()
        owner.run_script("SELECT FROM job_sweep FOR UPDATE")
        noon.query("find_work", now=at(0), schedules_until=at(0), retention_s=OLD)
        owner.rollback()
        assert changes() == {}
        noon.query("find_work", now=at(0), schedules_until=at(0), retention_s=OLD)
        assert changes() == {"True": {"came_at": at(0)}}


class TestExpiry:
    RAISED = {
        **{"slice": 3, "lost_slices": 1, "lost_in_total": 1, "lease_expires_at": None},
        **{"resends": 0, "due_at": at(0), "resend_at": at(R), "request_id": None, "slice_started_at": None},
    }
    OVER = {
        **{"completed_at": at(0), "lease_expires_at": None, "due_at": at(0), "lost_slices": 1, "lost_in_total": 1},
        **{"request_id": None, "slice_started_at": None},
    }
    REASON = "Its worker did not end it before the lease was over"

    def expire(self, noon, run_id):
        return noon.query("expire_leases", keys=[run_id], **LOST)

    def test_the_next_number_may_start_now(self, owner, noon):
        run_id = run(owner, LEASED, lease_expires_at=at(0), resends=3)
        changes = Changes(owner, "job_runs")
        [row] = self.expire(noon, run_id)
        assert changes() == {run_id: self.RAISED}
        assert (str(row["id"]), row["slice"], row["status"], row["team_id"]) == (run_id, 3, "running", None)

    @pytest.mark.parametrize("end", [{}, {"lost_slices": 4}, {"cancel_requested_at": at(-2)}], ids=str)
    @pytest.mark.parametrize(("progress", "step"), [(None, {}), ({"total": 9, "processed": 4}, {"processed": 4})])
    @pytest.mark.parametrize("reason", [None, "no connection"])
    def test_it_records_the_slice_that_was_lost(self, owner, noon, reason, progress, step, end):
        run_id = run(owner, LEASED, lease_expires_at=at(-1), progress=progress, abandoned_because=reason, **end)
        run(owner, LEASED, request_id="other", abandoned_because="another")
        slice_over(owner, run_id, 1, request_id="before", reason="the one before")
        timeline = Changes(owner, "job_slices", "request_id")
        with the_real_time(owner) as is_within:
            self.expire(noon, run_id)
        [(request_id, recorded)] = timeline().items()
        assert request_id == "r"
        assert is_within(recorded.pop("ended_at"))
        lost = {"run_id": run_id, "slice": 2, "request_id": "r", "started_at": at(-30), "outcome": "lost"}
        assert recorded == {**lost, **step, "reason": reason or self.REASON}

    @pytest.mark.parametrize(
        ("columns", "times"),
        [
            ({"lost_slices": 4, "lost_in_total": 7}, "5 times in a row"),
            ({"lost_slices": 5, "lost_in_total": 7}, "6 times in a row"),
            ({"lost_slices": 0, "lost_in_total": 19}, "20 times"),
            ({"lost_slices": 3, "lost_in_total": 20}, "21 times"),
        ],
    )
    @pytest.mark.parametrize("progress", [None, {"total": 9, "message": "", "processed": 4}])
    def test_one_too_many_fails_the_run_with_a_sentence(self, owner, noon, columns, times, progress):
        run_id = run(owner, LEASED, lease_expires_at=at(-1), **columns, progress=progress)
        changes = Changes(owner, "job_runs")
        [row] = self.expire(noon, run_id)
        step = "4 of 9" if progress else "0"
        lost = {name: count + 1 for name, count in columns.items()}
        said = f"Server restarted during execution. Its worker was lost {times} at step {step}. The last time: "
        failed = {"status": "failed", "error": f"{said}{self.REASON}"}
        assert changes() == {run_id: {**self.OVER, **lost, **failed}}
        assert (row["slice"], row["status"]) == (2, "failed")

    @pytest.mark.parametrize("columns", [{"lost_slices": 3}, {"lost_in_total": 18}])
    def test_one_less_goes_on(self, owner, noon, columns):
        run_id = run(owner, LEASED, lease_expires_at=at(-1), **columns)
        [row] = self.expire(noon, run_id)
        assert (row["slice"], row["status"]) == (3, "running")

    @pytest.mark.parametrize("lost_slices", [0, 4])
    def test_a_cancel_that_was_asked_for_comes_first(self, owner, noon, lost_slices):
        run_id = run(owner, LEASED, lease_expires_at=at(-1), cancel_requested_at=at(-2), lost_slices=lost_slices)
        changes = Changes(owner, "job_runs")
        self.expire(noon, run_id)
        lost = {"lost_slices": lost_slices + 1, "lost_in_total": 1}
        assert changes() == {run_id: {**self.OVER, "status": "cancelled", **lost}}


class TestHealing:
    @pytest.mark.parametrize(("resends", "after_s"), [(0, 2 * R), (1, 4 * R), (3, 16 * R), (4, H), (29, H), (5000, H)])
    def test_a_message_is_sent_again_ever_later(self, owner, noon, resends, after_s):
        run_id = run(owner, WAITING, resend_at=at(-1), resends=resends)
        changes = Changes(owner, "job_runs")
        [row] = noon.query("resend_due", keys=[run_id], **RESEND)
        assert changes() == {run_id: {"resends": resends + 1, "resend_at": at(after_s)}}
        assert (str(row["id"]), row["slice"], row["team_id"]) == (run_id, 2, None)

    @pytest.mark.parametrize(("reason", "said"), [(None, ""), ("a quota", ". It was waiting for a quota")])
    def test_a_run_that_took_too_long_is_failed_with_a_sentence(self, owner, noon, reason, said):
        run_id = run(owner, WAITING, started_at=at(-days(1)), ends_by=at(-3600 * 1.5), waiting_for=reason)
        changes = Changes(owner, "job_runs")
        [row] = noon.query("end_overlong", keys=[run_id])
        error = f"It ran for longer than 22.5 hours, the most that its job type allows{said}"
        ended = {"status": "failed", "error": error, "completed_at": at(0), "resend_at": None}
        assert changes() == {run_id: {**ended, **({"waiting_for": None} if reason else {})}}
        assert row["status"] == "failed"

    def test_a_run_of_a_deleted_project_ends_or_is_asked_to(self, owner, noon):
        of_no_project, held, waiting = deleted(owner)[0]
        owner.run_script("UPDATE job_runs SET waiting_for = 'a quota' WHERE lease_expires_at IS NULL")
        changes = Changes(owner, "job_runs")
        noon.query("stop_deleted", keys=[waiting, held, of_no_project])
        asked = {"cancel_requested_at": at(0), "cancel_requested_by": "sweep"}
        ended = {"status": "cancelled", "completed_at": at(0), "resend_at": None, "waiting_for": None}
        assert changes() == {waiting: {**asked, **ended}, of_no_project: {**asked, **ended}, held: asked}

    def test_a_run_goes_with_its_project_and_without_its_key(self, owner, noon):
        run_id = moved(owner)[0][0]
        owner.run_script(f"UPDATE job_runs SET idempotency_key = 'k', request_hash = 'h' WHERE id = '{run_id}'")
        changes = Changes(owner, "job_runs")
        noon.query("rehome_runs", keys=[run_id])
        [[home]] = owner.run_script("SELECT CAST(id AS text) FROM teams WHERE slug = 'here'")
        assert changes() == {run_id: {"team_id": home, "idempotency_key": None, "request_hash": None}}

    def test_an_old_run_goes_with_its_slices_and_what_was_sent(self, owner, noon):
        late, left = old_runs(owner)
        slice_over(owner, left[0])
        assert len(noon.query("prune_runs", keys=late[:1])) == 1
        for table, key, kept in (
            ("job_runs", "id", {late[1], *left}),
            ("job_slices", "run_id", {late[1], left[0]}),
            ("job_outbox", "run_id", {late[1], left[2], left[4], "None"}),
        ):
            assert rows(owner, table, key).keys() == kept

    def test_an_old_slot_goes_by_itself(self, owner, noon):
        late, left = old_slots(owner)
        noon.query("prune_slots", keys=late[:1])
        assert len(owner.run_script("SELECT FROM job_schedule_slots")) == len(late[1:] + left)
        assert find(noon, KINDS[9]) == late[1:]

    @pytest.mark.parametrize(("newest_s", "is_kept"), [(-days(1) - 1, False), (-days(1), True), (-days(1) + 1, True)])
    def test_a_share_of_mails_goes_a_day_after_its_last(self, owner, noon, newest_s, is_kept):
        team = make_team(owner)
        insert(owner, "job_mail_shares", team_id=team.id, sent_at=[at(newest_s), at(-days(3))])
        noon.query("prune_alerts", keys=[])
        assert (rows(owner, "job_mail_shares", "team_id").keys() == {team.id}) is is_kept

    def test_the_runs_of_a_cleaned_up_project_or_team_are_stopped_in_pages(self, owner, noon):
        here, there = make_team(owner, slug="here"), make_team(owner, slug="there")
        live = sorted(
            run(owner, state, **columns)
            for state, columns in (
                (PENDING, of(here)),
                (LEASED, of(here)),
                (PENDING, {"team_id": there.id, "project_id": here.project_id}),
                (PENDING, {"team_id": here.id, "project_id": there.project_id}),
            )
        )
        run(owner, ENDED, **of(here))
        run(owner, PENDING, **of(there))
        page = {"team_id": here.id, "project_id": here.project_id}
        assert [row["id"] for row in noon.query("cleanup_live_runs", page=9, **page)] == live
        assert [row["id"] for row in noon.query("cleanup_live_runs", page=2, **page)] == live[:2]
