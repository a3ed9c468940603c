"""A limited number of mails an hour for each team, then a digest; one mail for each operator; fair queues."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest

from nightshift.base import settings as settings_module
from nightshift.notify import outbox
from nightshift.operator import doctor
from nightshift.testing.rows import make_team, run_row, sweep
from tests.support.mail_world import OWNER, SENDER, alert, end, mail, notified, project_run, system_run
from tests.support.world import trigger

SHARE = 3


@pytest.fixture(autouse=True)
def function(configure, ses):
    address = {"MAIL_FROM": SENDER, "SYSTEM_JOBS_ALERT_EMAIL": OWNER, "AWS_ENDPOINT_URL_SESV2": ses.url}
    configure(MAILS_PER_TEAM_AND_HOUR=str(SHARE), **address)


@pytest.fixture
def team(owner):
    return make_team(owner)


@pytest.fixture
def ended(owner, db, cloud):
    """``ended(team)``: end a run that was triggered with notify, and return the ids of its mails."""

    def ended(team, role="admin", status="completed", **fields):
        run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users[role]}")
        return end(owner, run_id, status, **fields)[0]

    return ended


def digests(owner):
    rows = owner.run_script("SELECT to_jsonb(job_outbox) FROM job_outbox WHERE team_id IS NOT NULL ORDER BY created_at")
    return [SimpleNamespace(**row[0]) for row in rows]


def let_pass(owner, hours=1.0):
    owner.run_script(
        f"UPDATE job_mail_shares SET sent_at = ARRAY(SELECT at - interval '{hours} h' FROM unnest(sent_at) AS at);"
        f"UPDATE job_outbox SET send_at = send_at - interval '{hours} h', retry_at = retry_at - interval '{hours} h',"
        f" claimed_until = claimed_until - interval '{hours} h' WHERE status = 'unsent'"
    )


def text_of(sent):
    return sent["Content"]["Simple"]["Body"]["Text"]["Data"]


class TestDigest:
    def test_eleven_runs_in_seconds_are_three_mails_and_a_digest(self, team, owner, db, cloud, ended, configure, ses):
        configure(DASHBOARD_URL="https://dash.example/")
        rows = [ended(team, status="cancelled") for _ in range(11)]
        for row in rows:
            notified(row)
        assert ses.subjects == ["RevenueCat Sync cancelled: Project 0"] * SHARE
        [digest] = digests(owner)
        assert [mail(owner, row).status for row in rows] == ["sent"] * SHARE + ["digested"] * 8
        # Due when the first of the three is an hour old. The sweep sends it then, and not earlier.
        first = owner.run_script("SELECT min(at) FROM job_mail_shares, unnest(sent_at) AS at")[0][0]
        assert datetime.fromisoformat(digest.send_at) == first + timedelta(hours=1)
        assert sweep(db=db, settings=cloud)["mails"] == 0
        notified(digest.id)
        assert len(ses.mails) == SHARE

        let_pass(owner)
        assert sweep(db=db, settings=cloud)["mails"] == 1
        for _ in range(2):
            notified(digest.id)
        assert ses.subjects[SHARE:] == ["8 runs ended: The owls"]
        assert ses.recipients[-1] == "admin@owls.example"
        text = text_of(ses.mails[-1])
        assert "8 cancelled" in text
        assert text.count("Project 0") == 8
        assert f"https://dash.example/?team={team.id}" in text
        assert ">Open the list</a>" in ses.mails[-1]["Content"]["Simple"]["Body"]["Html"]["Data"]
        assert mail(owner, digest.id).status == "sent"

    def test_what_failed_comes_first_and_what_is_too_much_is_counted(self, team, owner, ended, ses):
        rows = [ended(team, status="cancelled") for _ in range(SHARE + 12)]
        rows += [ended(team, status="failed", error="The key <was> refused.\nStore another.") for _ in range(4)]
        for row in rows:
            notified(row)
        let_pass(owner)
        [digest] = digests(owner)
        notified(digest.id)
        text = text_of(ses.mails[-1])
        assert ses.subjects[-1] == "16 runs ended: The owls"
        assert "4 failed, 12 cancelled" in text
        assert text.count("failed: The key <was> refused. Store another.") == 4
        assert text.index("failed: The key") < text.index("RevenueCat Sync  Project 0  cancelled")
        assert "The dashboard lists 4 more." in text
        html = ses.mails[-1]["Content"]["Simple"]["Body"]["Html"]["Data"]
        assert "The key &lt;was&gt; refused." in html

    def test_each_person_has_a_digest_of_their_own_runs(self, team, owner, ended, ses):
        for _ in range(SHARE):
            notified(ended(team))
        for role, count in (("admin", 2), ("owner", 1), ("member", 3)):
            for _ in range(count):
                notified(ended(team, role))
        let_pass(owner)
        for digest in digests(owner):
            notified(digest.id)
        told = dict(zip(ses.recipients[SHARE:], ses.subjects[SHARE:], strict=True))
        assert told == {
            "admin@owls.example": "2 runs ended: The owls",
            "owner@owls.example": "1 run ended: The owls",
            "member@owls.example": "3 runs ended: The owls",
        }

    def test_digests_have_no_more_than_the_share_either(self, team, owner, ended, configure, ses):
        configure(MAILS_PER_TEAM_AND_HOUR="1")
        for role in ("admin", "admin", "owner", "member"):
            notified(ended(team, role))
        for hour in (1, 2, 3):
            let_pass(owner)
            for digest in digests(owner):
                notified(digest.id)
            assert len(ses.mails) == 1 + hour
        assert len(set(ses.recipients[1:])) == 3
        assert {digest.attempts for digest in digests(owner)} == {1}

    def test_new_mails_do_not_overtake_a_digest_that_waits(self, team, owner, ended, ses):
        for _ in range(SHARE + 1):
            notified(ended(team))
        let_pass(owner)
        late = ended(team)
        notified(late)
        assert mail(owner, late).status == "digested"
        [digest] = digests(owner)
        notified(digest.id)
        assert ses.subjects[SHARE:] == ["2 runs ended: The owls"]
        notified(ended(team))
        assert ses.subjects[SHARE + 1 :] == ["RevenueCat Sync completed: Project 0"]

    def test_one_that_has_begun_takes_no_more_and_loses_nothing(self, team, owner, ended, ses):
        for _ in range(SHARE + 2):
            notified(ended(team))
        let_pass(owner)
        [first] = digests(owner)
        ses.refusal = (503, "ServiceUnavailable", "Come back later")
        notified(first.id)
        assert mail(owner, first.id).status == "unsent"
        for _ in range(SHARE):
            notified(ended(team))
        ses.refusal = None
        assert len(digests(owner)) == 2
        let_pass(owner)
        for digest in digests(owner):
            notified(digest.id)
        assert ses.subjects[SHARE:] == ["2 runs ended: The owls", "1 run ended: The owls"]

    def test_one_without_lines_is_not_sent(self, team, owner, db, ended, ses):
        """A function that lost its mail to another one creates the digest, but no line of it."""
        row, lost = ended(team), {"attempt": 9, "team_id": team.id, "recipient": "admin@owls.example"}
        db.query("digest_mail", outbox_id=row, **lost, opens_at=datetime.now(UTC))
        [digest] = digests(owner)
        notified(digest.id)
        assert (mail(owner, row).status, mail(owner, digest.id).status) == ("unsent", "unwanted")
        assert ses.mails == []

    def test_a_run_stays_until_the_digest_that_tells_of_it_is_sent(self, team, owner, db, cloud, ended, ses):
        for _ in range(SHARE + 1):
            notified(ended(team))
        owner.run_script("UPDATE job_runs SET completed_at = completed_at - interval '91 days'")
        assert sweep(db=db, settings=cloud)["pruned"] == SHARE
        let_pass(owner)
        notified(digests(owner)[0].id)
        assert ses.subjects[SHARE:] == ["1 run ended: The owls"]
        assert sweep(db=db, settings=cloud)["pruned"] == 1

    def test_a_mail_that_is_tried_again_takes_one_share_only(self, team, owner, ended, ses):
        ses.refusal = (503, "ServiceUnavailable", "Come back later")
        row = ended(team)
        for _ in range(5):
            notified(row)
            let_pass(owner, hours=0)
            owner.run_script("UPDATE job_outbox SET retry_at = now(), claimed_until = NULL")
        ses.refusal = None
        notified(row)
        for _ in range(SHARE - 1):
            notified(ended(team))
        assert len(ses.mails) == SHARE

    def test_a_team_is_not_charged_for_another(self, team, owner, ended, ses):
        others = make_team(owner, slug="others")
        for _ in range(SHARE + 1):
            notified(ended(team))
        notified(ended(others))
        assert ses.recipients[SHARE:] == ["admin@others.example"]

    def test_operators_and_events_have_no_share(self, owner, ses):
        for _ in range(SHARE + 2):
            notified(alert(owner))
            notified(*end(owner, system_run(owner), "failed"))
        assert len(ses.mails) == 2 * (SHARE + 2)

    def test_without_a_limit_each_goes_by_itself(self, team, owner, ended, configure, ses):
        configure(MAILS_PER_TEAM_AND_HOUR="0")
        for _ in range(SHARE + 2):
            notified(ended(team))
        assert len(ses.mails) == SHARE + 2

    def test_a_limit_that_is_lowered_holds_at_once(self, team, owner, ended, configure, ses):
        for _ in range(SHARE):
            notified(ended(team))
        configure(MAILS_PER_TEAM_AND_HOUR="1")
        notified(ended(team))
        assert len(ses.mails) == SHARE

    def test_two_at_once_do_not_take_the_same_share(self, team, owner, db, connect):
        """The second waits for the first one's row lock, and counts the share that the first took."""
        one, two = connect(), connect()
        share = {"team_id": team.id, "is_digest": False, "at_most": 1}
        one.begin()
        assert one.query("take_mail_share", **share)[0]["is_taken"]
        with pytest.raises(Exception, match="lock"):
            connect(lock_timeout="50").query("take_mail_share", **share)
        one.commit()
        assert not two.query("take_mail_share", **share)[0]["is_taken"]

    def test_a_mail_joins_the_digest_or_begins_another_whoever_is_first(self, team, owner, db, connect, ended):
        """The digest that the mail joined lists it as a line, even if that digest was claimed at the same moment."""
        for _ in range(SHARE + 1):
            notified(ended(team))
        [digest] = digests(owner)
        row, other = ended(team), connect()
        owner.run_script(f"UPDATE job_outbox SET attempts = 1 WHERE id = '{row}'")
        other.begin()
        held = {"outbox_id": row, "attempt": 1, "team_id": team.id, "recipient": "admin@owls.example"}
        other.query("digest_mail", **held, opens_at=datetime.fromisoformat(digest.send_at))
        with pytest.raises(Exception, match="lock"):
            connect(lock_timeout="50").query("close_digest", outbox_id=digest.id)
        other.commit()
        db.query("close_digest", outbox_id=digest.id)
        assert len(db.query("list_digest", outbox_id=digest.id, at_most=9)) == 2

    def test_a_run_shows_its_mail_as_far_as_the_digest_is(self, team, owner, db, ended, ses):
        for _ in range(SHARE + 1):
            row = ended(team)
            notified(row)
        run_id = mail(owner, row).run_id

        def shown():
            [told] = db.query("list_mails", run_id=run_id)
            return told["status"], told["error"], told["ended_at"] is None

        assert shown() == ("digested", None, True)
        let_pass(owner)
        ses.refusal = (400, "MessageRejected", "No")
        notified(digests(owner)[0].id)
        assert shown() == ("failed", "MessageRejected: No", False)

    def test_a_digest_that_waits_is_no_trouble_and_one_that_waits_too_long_is(self, team, owner, db, ended):
        for _ in range(SHARE + 1):
            notified(ended(team))
        owner.run_script("UPDATE job_outbox SET created_at = created_at - interval '50 min'")

        def trouble():
            return db.query("outbox_trouble", grace_s=150, kind="mail")[0]

        assert (trouble()["waiting"], trouble()["oldest_s"], trouble()["overdue"]) == (1, 0, 0)
        let_pass(owner, hours=2)
        assert trouble()["oldest_s"] > 1800
        assert trouble()["overdue"] == 1

    def test_a_share_that_was_not_used_for_a_day_goes_with_old_digests(self, team, owner, db, ended):
        others = make_team(owner, slug="others")
        notified(ended(team))
        let_pass(owner, hours=25)
        notified(ended(others))
        db.query("prune_alerts", keys=[])
        assert [str(row[0]) for row in owner.run_script("SELECT team_id FROM job_mail_shares")] == [others.id]


class TestSeveralOperators:
    def test_each_gets_a_mail_of_their_own(self, owner, db, cloud, configure, ses):
        configure(SYSTEM_JOBS_ALERT_EMAIL="a@x.example; b@x.example,, Ops <c@bücher.example>, A@x.example ;")
        for leave in (lambda: alert(owner), lambda: end(owner, system_run(owner), "failed")[0]):
            ses.mails.clear()
            row = leave()
            notified(row)
            notified(row)
            assert sweep(db=db, settings=cloud)["mails"] == 2
            for (other,) in owner.run_script("SELECT id FROM job_outbox WHERE status = 'unsent'"):
                notified(other)
            assert sorted(ses.recipients) == ["a@x.example", "b@x.example", "c@xn--bcher-kva.example"]
        assert owner.run_script("SELECT DISTINCT status, attempts FROM job_outbox") == [["sent", 1]]

    def test_an_ending_that_is_told_again_mails_none_of_them_twice(self, owner, db, cloud, configure, ses):
        configure(SYSTEM_JOBS_ALERT_EMAIL="ada@server.example, grace@server.example")
        owner.run_script(
            "UPDATE job_deployment SET wants_events = true;"
            "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER nothing BEFORE INSERT ON job_outbox FOR EACH ROW WHEN (NEW.kind = 'event')"
            " EXECUTE FUNCTION nothing()"
        )
        run_id = system_run(owner)
        for outbox_id in end(owner, run_id, "failed"):
            notified(outbox_id)
        assert run_row(owner, run_id)["untold"].startswith("its event:")
        sweep(db=db, settings=cloud)
        for [outbox_id] in owner.run_script(f"SELECT id FROM job_outbox WHERE run_id = '{run_id}'"):
            notified(outbox_id)
        assert sorted(ses.recipients) == ["ada@server.example", "grace@server.example"]

    def test_one_that_is_none_costs_that_one_mail(self, owner, db, cloud, configure, ses):
        configure(SYSTEM_JOBS_ALERT_EMAIL="nobody, жанна@x.example, b@x.example")
        notified(alert(owner))
        for (other,) in owner.run_script("SELECT id FROM job_outbox WHERE status = 'unsent'"):
            notified(other)
        assert ses.recipients == ["b@x.example"]
        told = owner.run_script("SELECT status, error FROM job_outbox WHERE status <> 'sent' ORDER BY error")
        assert told == [
            ["failed", "'nobody' is not a mail address like ada@example.com"],
            ["failed", "'жанна@x.example' cannot receive mail: SES accepts only ASCII characters before the @"],
        ]

    def test_the_doctor_names_it_before_a_mail_is_lost(self, db, configure):
        def told():
            report = doctor.examine(db=db, settings=settings_module.settings())
            return [check["says"] for check in report["checks"] if check["name"] == "alert addresses"]

        configure(SYSTEM_JOBS_ALERT_EMAIL="a@x.example, nobody")
        assert told() == ["'nobody' is not a mail address like ada@example.com"]
        configure(SYSTEM_JOBS_ALERT_EMAIL="a@x.example, b@bücher.example")
        assert told() == []

    def test_a_setting_of_separators_alone_names_nobody(self, owner, configure, ses):
        configure(SYSTEM_JOBS_ALERT_EMAIL=" , ;")
        row = alert(owner)
        notified(row)
        assert (mail(owner, row).status, ses.mails) == ("unwanted", [])

    def test_a_sender_with_letters_of_its_own_is_written_as_ses_takes_it(self, owner, configure, ses):
        configure(MAIL_FROM="jobs@bücher.example")
        notified(alert(owner))
        assert ses.mails[0]["FromEmailAddress"] == "Nightshift <jobs@xn--bcher-kva.example>"


class TestAddressesOfAPlatform:
    @pytest.mark.parametrize(
        ("kept", "asked", "status"),
        [
            ("ada@bücher.example", ["ada@xn--bcher-kva.example"], "sent"),
            ("Ada <ada@x.example>", ["ada@x.example"], "sent"),
            (" ada@x.example", ["ada@x.example"], "sent"),
            ("жанна@x.example", [], "failed"),
            ("ada@x.example\r\nBcc: all@x.example", [], "failed"),
            ("ada@x.example, b@x.example", [], "failed"),
            ("nobody", [], "failed"),
        ],
    )
    def test_a_persons_address_is_sent_to_or_told_in_words(self, team, owner, ended, ses, kept, asked, status):
        owner.run_script(f"UPDATE users SET email = $q${kept}$q$ WHERE id = '{team.users['admin']}'")
        row = ended(team)
        notified(row)
        assert (ses.recipients, mail(owner, row).status) == (asked, status)
        assert ses.asked == len(asked)


class TestFairness:
    def test_messages_carry_their_team(self, team, owner, db, cloud):
        by = f"manual:user:{team.users['admin']}"
        run = trigger(team, db=db, settings=cloud, triggered_by=by, notify=True)
        end(owner, run["id"])
        outbox.dispatch([str(run["id"])], db=db, settings=cloud)
        outbox_id = alert(owner)
        owner.run_script("UPDATE job_outbox SET send_at = now()")
        assert sweep(db=db, settings=cloud)["mails"] == 2
        sent = boto3.client("sqs").receive_message(
            QueueUrl=cloud.notify_queue_url, MaxNumberOfMessages=10, AttributeNames=["MessageGroupId"]
        )["Messages"]
        groups = [(json.loads(each["Body"])["outbox_id"], each["Attributes"]["MessageGroupId"]) for each in sent]
        assert sorted({group for _, group in groups}) == sorted([team.id, "system"])
        assert [group for row, group in groups if row == str(outbox_id)] == ["system"]
