"""The notify function with its sample event: the recipients of mails, and mails that SES refuses."""

import json
import threading
import uuid
from datetime import timedelta

import boto3
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sesv2.models import sesv2_backends

from nightshift.aws import clients
from nightshift.base import metrics
from nightshift.base import settings as settings_module
from nightshift.base.errors import DatabaseGone
from nightshift.notify import attempts, delivery
from nightshift.testing.rows import make_team, run_row, work
from tests.support import ses as ses_server
from tests.support.fixtures import ROLES, load_function
from tests.support.mail_world import (
    OWNER,
    SENDER,
    age,
    alert,
    end,
    mail,
    notified,
    project_run,
    system_run,
    waits_s,
)
from tests.support.world import cut_sessions

HOUR = 3600


@pytest.fixture(autouse=True)
def function(configure, ses):
    configure(MAIL_FROM=SENDER, SYSTEM_JOBS_ALERT_EMAIL=OWNER, AWS_ENDPOINT_URL_SESV2=ses.url)


@pytest.fixture
def team(owner):
    return make_team(owner)


def key_id(owner, team):
    return owner.run_script(f"SELECT id FROM api_keys WHERE team_id = '{team.id}'")[0][0]


def test_the_mail_of_a_failed_run_quotes_the_last_lines_of_its_log(team, owner, db, cloud, ses):
    run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
    [outbox_id] = end(owner, run_id, "failed")
    lines = [
        {"at": f"2026-01-02T03:04:{n:02}.000Z", "level": "info", "message": f"<b>Line {n}</b>", "fields": {"n": n}}
        for n in range(7)
    ]
    for last in (7, 14):
        owner.run_script(
            "INSERT INTO job_run_logs (run_id, last_line, slice, bytes, lines)"
            f" VALUES ('{run_id}', {last}, 0, 1, '{json.dumps(lines)}')"
        )
    notified(outbox_id)
    body = ses.mails[0]["Content"]["Simple"]["Body"]
    said = [line.split() for line in body["Text"]["Data"].splitlines() if "Line" in line]
    assert [row[4] for row in said] == [f"n={n}" for n in (4, 5, 6, 0, 1, 2, 3, 4, 5, 6)]
    assert said[0][:2] == ["03:04:04", "info"]
    assert "&lt;b&gt;Line 6" in body["Html"]["Data"]


class TestWhoGetsAMail:
    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_the_user_who_asked(self, status, team, owner, db, cloud, ses):
        run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
        [outbox_id] = end(owner, run_id, status)
        notified(outbox_id)
        [sent] = ses.mails
        assert sent["FromEmailAddress"] == f"Nightshift <{SENDER}>"
        assert sent["Destination"] == {"ToAddresses": ["admin@owls.example"]}
        simple = sent["Content"]["Simple"]
        assert simple["Headers"] == [{"Name": "Auto-Submitted", "Value": "auto-generated"}]
        assert simple["Subject"] == {"Data": f"RevenueCat Sync {status}: Project 0", "Charset": "UTF-8"}
        assert {part["Charset"] for part in simple["Body"].values()} == {"UTF-8"}
        assert str(run_id) in simple["Body"]["Text"]["Data"]
        assert str(run_id) in simple["Body"]["Html"]["Data"]
        row = mail(owner, outbox_id)
        assert (row.status, row.message_id, row.send_at, row.error) == ("sent", "message-1", None, None)

    def test_the_user_who_asked_though_there_is_no_operators_address(self, team, owner, db, cloud, configure, ses):
        configure(SYSTEM_JOBS_ALERT_EMAIL="")
        [outbox_id] = end(owner, project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}"))
        notified(outbox_id)
        assert mail(owner, outbox_id).status == "sent"

    def test_the_user_who_made_the_key(self, team, owner, db, cloud, ses):
        run_id = project_run(team, db=db, settings=cloud, by=f"api_key:{key_id(owner, team)}")
        owner.run_script("UPDATE api_keys SET deleted_at = now()")  # the key was deleted, but its creator was not
        notified(*end(owner, run_id))
        assert ses.recipients == ["admin@owls.example"]

    @pytest.mark.parametrize("by", ["user", "api_key"])
    @pytest.mark.parametrize(
        "gone", ["DELETE FROM team_members WHERE user_id = '{}'", "UPDATE users SET deleted_at = now() WHERE id = '{}'"]
    )
    def test_nobody_who_has_left_or_was_deleted(self, by, gone, team, owner, db, cloud):
        who = team.users["admin"] if by == "user" else key_id(owner, team)
        run_id = project_run(team, db=db, settings=cloud, by=f"{by}:{who}")
        owner.run_script(gone.format(team.users["admin"]))
        assert end(owner, run_id) == []
        assert run_row(owner, run_id)["status"] == "completed"

    def test_nobody_who_did_not_ask(self, team, owner, db, cloud):
        by = f"user:{team.users['admin']}"
        assert end(owner, project_run(team, db=db, settings=cloud, by=by, notify=False)) == []

    @pytest.mark.parametrize(
        ("alerts", "status", "result", "expected"),
        [
            ("all", "completed", {}, "sent"),
            ("all", "failed", {}, "sent"),
            ("failures", "completed", {"dropped": 3}, "unwanted"),
            ("failures", "completed", {"warning": "6 GB over the limit"}, "sent"),
            ("failures", "failed", {}, "sent"),
        ],
    )
    def test_the_owner_of_system_runs(self, alerts, status, result, expected, owner, configure, ses):
        configure(SYSTEM_JOBS_ALERTS=alerts)
        [outbox_id] = end(owner, system_run(owner), status, result=result)
        notified(outbox_id)
        row = mail(owner, outbox_id)
        assert (row.status, row.send_at) == (expected, None)
        assert ses.recipients == ([OWNER] if expected == "sent" else [])

    def test_a_cancelled_system_run_is_no_news(self, owner):
        assert end(owner, system_run(owner), "cancelled") == []

    def test_the_owner_of_alerts_whatever_else_is_wanted(self, owner, configure, ses):
        configure(SYSTEM_JOBS_ALERTS="failures")
        notified(alert(owner))
        assert (ses.subjects, ses.recipients) == (["A slot was missed"], [OWNER])

    def test_nobody_where_there_is_no_owners_address(self, owner, configure, ses):
        configure(SYSTEM_JOBS_ALERT_EMAIL="")
        outbox_ids = [alert(owner), *end(owner, system_run(owner), "failed")]
        for outbox_id in outbox_ids:
            notified(outbox_id)
        assert [mail(owner, outbox_id).status for outbox_id in outbox_ids] == ["unwanted", "unwanted"]
        assert ses.mails == []

    def test_links_lead_to_the_dashboard_for_a_teams_runs_alone(self, team, owner, db, cloud, configure, ses):
        configure(DASHBOARD_URL="https://dash.example/")
        run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
        for outbox_id in [*end(owner, run_id), *end(owner, system_run(owner))]:
            notified(outbox_id)
        texts = [sent["Content"]["Simple"]["Body"]["Text"]["Data"] for sent in ses.mails]
        assert f"https://dash.example/runs/{run_id}" in texts[0]
        assert "dash.example" not in texts[1]


def test_a_right_that_is_missing_in_the_platforms_tables_keeps_no_mail_back(team, owner, db, cloud, ses):
    """This includes the operator's alert about that very right."""
    of_a_run = end(owner, project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}"))
    owner.run_script(f"REVOKE SELECT ON teams, projects FROM {ROLES}")
    notified(alert(owner))
    notified(*end(owner, system_run(owner), "failed"))
    notified(*of_a_run)
    assert ses.recipients == [OWNER, OWNER, "admin@owls.example"]
    assert ses.subjects[2] == "RevenueCat Sync completed"


class TestOneMail:
    def test_from_the_ending_to_ses(self, team, owner, db, cloud, ses):
        """The worker ends the run, and the function gets the worker's own message."""
        run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
        work(run_id, 0, db=db, settings=cloud)
        [message] = boto3.client("sqs").receive_message(QueueUrl=cloud.notify_queue_url)["Messages"]
        notified(json.loads(message["Body"])["outbox_id"])
        assert ses.subjects == ["RevenueCat Sync failed: Project 0"]
        assert "This project has no RevenueCat integration" in ses.mails[0]["Content"]["Simple"]["Body"]["Text"]["Data"]

    def test_though_everything_is_delivered_twice(self, owner, ses):
        [outbox_id] = end(owner, system_run(owner))
        for _ in range(2):
            notified(outbox_id)
        assert ses.recipients == [OWNER]
        assert mail(owner, outbox_id).attempts == 1

    def test_though_it_is_delivered_while_the_other_is_at_it(self, owner, connect, ses):
        outbox_id, answer = alert(owner), ses.hold(1)
        first = self._deliver_aside(outbox_id, db=connect())
        self._wait_for_mails(1, ses, thread=first)
        notified(outbox_id)
        assert mail(owner, outbox_id).status == "unsent"
        answer.set()
        first.join()
        assert len(ses.mails) == 1
        assert mail(owner, outbox_id).status == "sent"

    def test_of_many_at_once(self, owner, connect, ses):
        outbox_id = alert(owner)
        threads = [self._deliver_aside(outbox_id, db=connect()) for _ in range(6)]
        for thread in threads:
            thread.join()
        assert len(ses.mails) == 1
        assert mail(owner, outbox_id).attempts == 1

    def test_whoever_was_frozen_past_its_claim_decides_nothing(self, owner, connect, ses):
        """The second mail is the price of the lost answer; the row shows the second one's outcome."""
        outbox_id, answers = alert(owner), [ses.hold(1), ses.hold(2)]
        frozen = self._deliver_aside(outbox_id, db=connect())
        self._wait_for_mails(1, ses, thread=frozen)
        age(owner, outbox_id, HOUR)
        second = self._deliver_aside(outbox_id, db=connect())
        self._wait_for_mails(2, ses, thread=second)
        for thread, answer, status in ((frozen, answers[0], "unsent"), (second, answers[1], "sent")):
            answer.set()
            thread.join()
            assert mail(owner, outbox_id).status == status
        assert mail(owner, outbox_id).message_id == "message-2"

    def test_a_row_that_is_gone_or_over_is_dropped(self, owner, ses):
        notified(uuid.uuid4())
        for status, error in [("failed", "'refused'"), ("unwanted", "NULL"), ("sent", "NULL")]:
            outbox_id = alert(owner)
            owner.run_script(
                f"UPDATE job_outbox SET status = '{status}', error = {error}, send_at = NULL, ended_at = now()"
                f" WHERE id = '{outbox_id}'"
            )
            notified(outbox_id)
            assert mail(owner, outbox_id).attempts == 0
        assert ses.mails == []

    @staticmethod
    def _wait_for_mails(count, ses, *, thread):
        while len(ses.mails) < count:
            assert thread.is_alive()

    @staticmethod
    def _deliver_aside(outbox_id, *, db):
        def deliver():
            delivery.deliver(str(outbox_id), db=db, settings=settings_module.settings(), remaining_s=lambda: 30)

        thread = threading.Thread(target=deliver)
        thread.start()
        return thread


class TestSesInTrouble:
    def test_down_for_an_hour_and_back(self, team, owner, db, cloud, ses):
        run_id = project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}")
        [outbox_id] = end(owner, run_id)
        run, ses.refusal = run_row(owner, run_id), (503, "ServiceUnavailable", "Come back later")
        waits = []
        while sum(waits) < HOUR:
            notified(outbox_id)
            row = mail(owner, outbox_id)
            assert (row.status, row.attempts) == ("unsent", len(waits) + 1)
            assert row.error == "ServiceUnavailable: Come back later"
            waits.append(waits_s(owner, outbox_id))
            age(owner, outbox_id, waits[-1] + 1)
        assert waits == pytest.approx([60, 120, 240, 480, 960, 1920], abs=2)

        ses.refusal = None
        for _ in range(2):
            notified(outbox_id)
        assert ses.recipients == ["admin@owls.example"]
        row = mail(owner, outbox_id)
        assert (row.status, row.attempts, row.error) == ("sent", 7, None)
        assert ses.asked == 7  # botocore's own retries would repeat a mail whose answer was lost
        assert run_row(owner, run_id) == run

    def test_what_passes_is_tried_again(self, owner, ses):
        for ses.refusal in (
            (429, "TooManyRequestsException", "Maximum sending rate exceeded."),
            (400, "LimitExceededException", "Daily message quota exceeded."),
            (400, "ThrottlingException", "Maximum sending rate exceeded."),
            (400, "SendingPausedException", "Sending is paused for this account."),
            (403, "AccessDeniedException", "User is not authorized to perform ses:SendEmail"),
            (500, "InternalServiceErrorException", "Sorry"),
        ):
            outbox_id = alert(owner)
            notified(outbox_id)
            row, (_, code, message) = mail(owner, outbox_id), ses.refusal
            assert (row.status, row.error) == ("unsent", f"{code}: {message}")

    def test_what_is_refused_for_good_has_failed_in_the_words_of_ses(self, owner, ses):
        for ses.refusal in (
            (400, "MessageRejected", "Email address is not verified. The following identities failed the check …"),
            (400, "MailFromDomainNotVerifiedException", "The sending domain is not verified."),
            (400, "BadRequestException", "Missing final '@domain'"),
            (400, "AccountSuspendedException", "The account is suspended."),
            (404, "NotFoundException", "Configuration set <c> does not exist."),
        ):
            [outbox_id] = end(owner, run_id := system_run(owner), "failed")
            run = run_row(owner, run_id)
            notified(outbox_id)
            row, (_, code, message) = mail(owner, outbox_id), ses.refusal
            assert (row.status, row.send_at, row.error) == ("failed", None, f"{code}: {message}")
            assert run_row(owner, run_id) == run

    def test_no_answer_at_all_is_tried_again(self, owner, configure):
        with ses_server.serve() as gone:
            pass
        configure(AWS_ENDPOINT_URL_SESV2=gone.url)
        outbox_id = alert(owner)
        notified(outbox_id)
        row = mail(owner, outbox_id)
        assert row.status == "unsent"
        assert row.error.startswith("EndpointConnectionError")

    def test_a_mail_whose_answer_was_lost_is_sent_again_later(self, owner, ses):
        outbox_id, ses.hangs_up = alert(owner), True
        for _ in range(2):
            notified(outbox_id)
        row = mail(owner, outbox_id)
        assert (row.status, len(ses.mails)) == ("unsent", 1)
        assert row.error.startswith("ConnectionClosedError")
        ses.hangs_up = False
        age(owner, outbox_id, waits_s(owner, outbox_id))
        notified(outbox_id)
        assert (mail(owner, outbox_id).status, len(ses.mails)) == ("sent", 2)

    def test_after_a_day_the_mail_is_given_up(self, owner, ses):
        outbox_id, ses.refusal = alert(owner), (429, "TooManyRequestsException", "Slow down")
        passed_s = 0
        for _ in range(attempts.MAX_ATTEMPTS):
            notified(outbox_id)
            wait_s = waits_s(owner, outbox_id)
            passed_s += wait_s
            age(owner, outbox_id, wait_s + 1)
        notified(outbox_id)
        row = mail(owner, outbox_id)
        assert row.status == "failed"
        assert row.error == "Gave up after 29 attempts: TooManyRequestsException: Slow down"
        assert passed_s / HOUR == pytest.approx(24, abs=1)

    def test_without_a_sender_the_mail_has_failed(self, owner, configure, ses):
        configure(MAIL_FROM="")
        outbox_id = alert(owner)
        notified(outbox_id)
        row = mail(owner, outbox_id)
        assert row.status == "failed"
        assert "parameter MailFrom" in row.error
        assert ses.mails == []

    def test_a_function_that_died_is_followed_by_another(self, owner, db, ses):
        """It had claimed the row and stored no outcome."""
        outbox_id = alert(owner)
        config = settings_module.settings()
        attempts.claim([str(outbox_id)], kind="mail", db=db, settings=config, remaining_s=lambda: 30)
        notified(outbox_id)
        assert ses.mails == []
        age(owner, outbox_id, waits_s(owner, outbox_id))
        notified(outbox_id)
        assert len(ses.mails) == 1

    def test_a_lost_database_is_the_queues_to_repeat(self, owner, configure, ses):
        outbox_id = alert(owner)
        configure(DATABASE_PORT="1")
        app = load_function("notify")
        app.database.cache_clear()
        with pytest.raises(DatabaseGone):
            notified(outbox_id)
        app.database.cache_clear()
        assert mail(owner, outbox_id).attempts == 0

    def test_the_log_names_no_address(self, owner, ses, caplog):
        ses.refusal = (400, "MessageRejected", f"Email address is not verified: {OWNER}")
        notified(alert(owner))
        [logged] = [vars(record) for record in caplog.records if record.name == "nightshift"]
        assert (logged["action"], logged["message"]) == ("mail_failed", "Mail failed: MessageRejected")
        assert OWNER not in str(logged)


class TestWhatItSays:
    """One log line with an action, and one count, for each outcome."""

    @pytest.mark.parametrize(
        ("refusal", "action", "counted"),
        [
            (None, "mail_sent", {"MailsSent": [1]}),
            ((400, "MessageRejected", "no"), "mail_failed", {"MailsFailed": [1]}),
            ((429, "TooManyRequestsException", "slow"), "mail_retried", {"MailsRetried": [1]}),
        ],
    )
    def test_of_a_mail_that_is_wanted(self, owner, db, ses, caplog, refusal, action, counted):
        ses.refusal = refusal
        self.assert_said(owner, db, caplog, action, counted)

    def test_of_a_mail_that_is_not_wanted(self, owner, db, configure, caplog):
        configure(SYSTEM_JOBS_ALERT_EMAIL="")
        self.assert_said(owner, db, caplog, "mail_unwanted", {})

    def test_of_a_message_that_comes_twice(self, owner, db, caplog):
        outbox_id = str(alert(owner))
        for _ in range(2):
            delivery.deliver(outbox_id, db=db, settings=settings_module.settings(), remaining_s=lambda: 30)
        actions = [record.action for record in caplog.records if record.name == "nightshift"]
        assert actions == ["mail_sent", "notice_dropped"]

    @staticmethod
    def assert_said(owner, db, caplog, action, counted):
        metrics._counted.clear()
        outbox_id = str(alert(owner))
        delivery.deliver(outbox_id, db=db, settings=settings_module.settings(), remaining_s=lambda: 30)
        assert [record.action for record in caplog.records if record.name == "nightshift"] == [action]
        assert metrics._counted.pop(None, {}) == counted


class TestALostConnection:
    """The server ends the function's session during its work on a mail."""

    @pytest.fixture
    def lost(self, owner, db, monkeypatch):
        """``lost(name)``: end the session just before the function runs this query."""

        def lost(at):
            db.connect()
            real = db.query

            def query(name, /, **params):
                if name == at:
                    monkeypatch.setattr(db, "query", real)
                    cut_sessions(owner)
                return real(name, **params)

            monkeypatch.setattr(db, "query", query)

        return lost

    @pytest.mark.parametrize("at", ["claim_outbox", "end_outbox_attempt"])
    def test_before_the_claim_or_the_outcome_it_connects_again(self, lost, owner, db, ses, at):
        config = settings_module.settings()
        outbox_id = alert(owner)
        lost(at)
        delivery.deliver(str(outbox_id), db=db, settings=config, remaining_s=lambda: 30)
        row = mail(owner, outbox_id)
        assert (row.status, row.message_id, row.attempts, len(ses.mails)) == ("sent", "message-1", 1, 1)

    def test_in_between_it_leaves_the_mail_to_the_queue(self, lost, team, owner, db, cloud, ses):
        config = settings_module.settings()
        [outbox_id] = end(owner, project_run(team, db=db, settings=cloud, by=f"user:{team.users['admin']}"))
        lost("names_in_notice")
        with pytest.raises(DatabaseGone):
            delivery.deliver(str(outbox_id), db=db, settings=config, remaining_s=lambda: 30)
        assert (mail(owner, outbox_id).status, ses.mails) == ("unsent", [])


def test_a_claim_outlives_its_function_by_the_margin(owner, db, ses):
    config, outbox_id = settings_module.settings(), alert(owner)
    [[before]] = owner.run_script("SELECT clock_timestamp()")
    delivery.deliver(str(outbox_id), db=db, settings=config, remaining_s=lambda: 1000)
    [[until, after]] = owner.run_script("SELECT claimed_until, clock_timestamp() FROM job_outbox")
    held = timedelta(seconds=1000 + config.lease_margin_s)
    assert before + held <= until <= after + held


class TestBounds:
    def test_a_mail_that_was_never_answered_for_is_given_up_in_words(self, owner, ses):
        outbox_id = alert(owner)
        owner.run_script(f"UPDATE job_outbox SET attempts = {attempts.MAX_ATTEMPTS}")
        notified(outbox_id)
        row = mail(owner, outbox_id)
        assert (row.status, row.error) == ("failed", "Gave up after 29 attempts: the notify function died each time")
        assert ses.mails == []

    def test_the_last_attempt_is_made(self, owner, ses):
        outbox_id = alert(owner)
        owner.run_script(f"UPDATE job_outbox SET attempts = {attempts.MAX_ATTEMPTS - 1}")
        notified(outbox_id)
        assert mail(owner, outbox_id).status == "sent"

    def test_the_row_of_a_single_operator_keeps_no_address(self, owner):
        outbox_id = alert(owner)
        notified(outbox_id)
        assert (mail(owner, outbox_id).status, mail(owner, outbox_id).recipient) == ("sent", None)

    def test_a_result_of_nothing_is_no_warning(self, owner, configure):
        configure(SYSTEM_JOBS_ALERTS="failures")
        [outbox_id] = end(owner, system_run(owner))
        owner.run_script("UPDATE job_runs SET result = NULL")
        notified(outbox_id)
        assert mail(owner, outbox_id).status == "unwanted"


class TestAgainstMoto:
    """An independent SES, which knows which identities are verified."""

    @pytest.fixture(autouse=True)
    def moto(self, monkeypatch):
        monkeypatch.delenv("AWS_ENDPOINT_URL_SESV2")
        clients.client.cache_clear()
        with mock_aws():
            yield

    def test_a_verified_sender(self, owner):
        boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
        outbox_id = alert(owner)
        notified(outbox_id)
        [taken] = sesv2_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].core_backend.sent_messages
        assert taken.destinations == {"ToAddresses": [OWNER]}
        assert taken.id == mail(owner, outbox_id).message_id

    def test_an_unverified_sender(self, owner):
        outbox_id = alert(owner)
        notified(outbox_id)
        row = mail(owner, outbox_id)
        assert row.status == "failed"
        assert row.error.startswith("MessageRejected: Email address not verified")
