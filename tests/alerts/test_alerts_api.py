"""Teams make, change, test and delete alerts over the API."""

import json

import pytest

from nightshift.testing.rows import make_team
from tests.support.api_world import Api
from tests.support.fixtures import JWT_SECRET
from tests.support.mail_world import SENDER, configure, notified, ses  # noqa: F401 (fixtures)
from tests.support.world import token

URL = "https://hooks.example.com/nightshift"
SLACK = "https://hooks.slack.com/services/T0/B0/very-secret"
WEBHOOK = {"channel": "webhook", "events": ["failed"], "url": URL}
MAIL = {"channel": "mail", "events": ["failed"], "admins": True}


@pytest.fixture
def api(team, cloud):
    return Api(f"Bearer {token(team.users['admin'], JWT_SECRET)}")


@pytest.fixture
def make(api, team):
    """``make(**WEBHOOK)``: make an alert and return the whole answer."""

    def make(**body):
        status, answer = api("POST", f"/v1/teams/{team.id}/alerts", body)
        assert status == 201, answer
        return answer

    return make


def refusal(api, team, **fields):
    status, answer = api("POST", f"/v1/teams/{team.id}/alerts", WEBHOOK | fields)
    return status, answer["error"]


def test_an_alert_is_shown_without_its_secret(make, api, team):
    made = make(**WEBHOOK, name="Nightly", project_ids=[team.project_id], job_types=["revenuecat_sync"])
    assert made["secret"].startswith("whsec_")
    assert made["notes"] == []
    alert = made["alert"]
    assert {
        name: alert[name] for name in ("name", "channel", "events", "url", "minutes_between", "paused", "last")
    } == {
        "name": "Nightly",
        "channel": "webhook",
        "events": ["failed"],
        "url": URL,
        "minutes_between": 5,
        "paused": None,
        "last": None,
    }
    assert (alert["project_ids"], alert["job_types"]) == ([team.project_id], ["revenuecat_sync"])
    assert alert["created_by"] == f"manual:user:{team.users['admin']}"
    assert api("GET", f"/v1/alerts/{alert['id']}") == (200, {"alert": alert})
    assert api("GET", f"/v1/teams/{team.id}/alerts") == (200, {"alerts": [alert]})


def test_the_url_of_slack_is_a_secret(make, owner, api, team):
    made = make(channel="slack", events=["failed"], url=SLACK)
    assert (made["secret"], made["alert"]["url"]) == (None, "https://hooks.slack.com/********")
    stored = owner.run_script("SELECT a.*, e.details FROM job_alerts a, job_audit_entries e")
    assert "very-secret" not in str(stored)
    status, answer = api("PATCH", f"/v1/alerts/{made['alert']['id']}", {"url": SLACK + "2"})
    assert (status, "very-secret" in json.dumps(answer)) == (200, False)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "http://hooks.example.com/"}, "url must begin with https://"),
        ({"url": "https://127.0.0.1/"}, "url must name a host like hooks.example.com, not a number of an address"),
        ({"url": None}, "url is required"),
        ({"channel": "slack"}, "url must begin with https://hooks.slack.com/"),
        ({"channel": "sms"}, "channel must be one of mail, slack, webhook"),
        ({"events": []}, "events: list should have at least 1 item after validation, not 0"),
        ({"events": ["overdue"]}, 'overdue_hours belongs to the event "overdue": give both or neither'),
        ({"overdue_hours": 5}, 'overdue_hours belongs to the event "overdue": give both or neither'),
        ({"job_types": ["db_pruning"]}, 'job_types must be of revenuecat_sync, revenuecat_backfill, got "db_pruning"'),
        ({"admins": True}, "admins and addresses belong to mail, not to webhook"),
        ({"channel": "mail"}, "url belongs to slack and webhook, not to mail"),
        ({"channel": "mail", "url": None}, "A mail needs a reader: set admins to true, or give addresses"),
        (
            {"channel": "mail", "url": None, "addresses": ["ada"]},
            "addresses: 'ada' is not a mail address like ada@example.com",
        ),
        ({"minutes_between": 1441}, "minutes_between must be 1440 or less"),
    ],
)
def test_bad_fields(api, team, owner, fields, sentence):
    status, said = refusal(api, team, **fields)
    assert status == 400
    if "job_types" in fields:
        assert said.startswith("job_types must be of ") and said.endswith('got "db_pruning"')  # noqa: PT018
    else:
        assert said == sentence
    assert owner.run_script("SELECT FROM job_alerts") == []


def test_a_project_of_another_team_is_not_chosen(api, team, owner):
    other = make_team(owner, slug="foxes")
    status, said = refusal(api, team, project_ids=[other.project_id])
    assert (status, said) == (400, f'project_ids: "{other.project_id}" is not a project of this team')


def test_there_is_a_limit(make, api, team, configure):  # noqa: F811
    configure(ALERTS_PER_TEAM="1")
    make(**WEBHOOK)
    assert refusal(api, team) == (409, "This team has 1 alerts, which is the limit. Delete one first")


def test_a_change_keeps_what_it_does_not_name(make, api, team):
    alert = make(**WEBHOOK, job_types=["revenuecat_sync"], minutes_between=9)["alert"]
    path = f"/v1/alerts/{alert['id']}"
    _, answer = api("PATCH", path, {"events": ["failed", "recovered"], "job_types": None})
    changed = answer["alert"]
    assert (changed["events"], changed["job_types"], changed["minutes_between"], changed["url"]) == (
        ["failed", "recovered"],
        None,
        9,
        URL,
    )
    assert answer["secret"] is None
    assert api("PATCH", path, {"admins": True})[0] == 400


def test_pause_and_resume(make, api):
    path = f"/v1/alerts/{make(**WEBHOOK)['alert']['id']}"
    assert api("PATCH", path, {"enabled": False})[1]["alert"]["paused"]["why"] == "Paused by the team"
    assert api("PATCH", path, {"enabled": True})[1]["alert"]["paused"] is None


def test_a_test_and_its_delivery(make, api):
    path = f"/v1/alerts/{make(**WEBHOOK)['alert']['id']}"
    status, answer = api("POST", f"{path}/test")
    assert (status, answer["delivery"]["kind"], answer["delivery"]["status"]) == (201, "test", "unsent")
    assert api("POST", f"{path}/test") == (409, {"error": "A test of this alert is on its way. See its deliveries"})
    page = api("GET", f"{path}/deliveries")[1]
    assert page == {"deliveries": [answer["delivery"]], "cursor": None, "has_more": False}
    assert api("POST", f"/v1/alert-deliveries/{answer['delivery']['id']}/replay") == (
        409,
        {"error": "This delivery is unsent. Only one that was sent or failed can be replayed"},
    )


def test_deliveries_come_in_pages(make, api, owner, team):
    alert = make(**WEBHOOK)["alert"]
    owner.run_script(
        "INSERT INTO job_alert_deliveries (alert_id, team_id, kind, about, data, status, ended_at, expires_at)"
        f" SELECT '{alert['id']}', '{team.id}', 'failed', n, '{{}}', 'sent', now(), now() FROM generate_series(1, 5) n"
    )
    seen, cursor = [], ""
    for _ in range(3):
        page = api("GET", f"/v1/alerts/{alert['id']}/deliveries", limit="2", cursor=cursor)[1]
        seen += [each["id"] for each in page["deliveries"]]
        cursor = page["cursor"] or ""
    assert (len(set(seen)), page["has_more"]) == (5, False)


def test_a_rotation_shows_the_new_secret_once(make, api):
    made = make(**WEBHOOK)
    status, answer = api("POST", f"/v1/alerts/{made['alert']['id']}/rotate")
    assert status == 200
    assert answer["secret"] not in ("", made["secret"])
    mail = make(**MAIL)["alert"]
    assert api("POST", f"/v1/alerts/{mail['id']}/rotate")[1]["error"] == (
        "Only a webhook has a secret, and this alert goes to mail"
    )


def test_without_kms_nothing_is_stored(api, team, owner, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    status, answer = api("POST", f"/v1/teams/{team.id}/alerts", WEBHOOK)
    assert status == 503
    assert answer["error"] == "The secret could not be encrypted, so nothing was stored. Try again in a moment."
    assert owner.run_script("SELECT FROM job_alerts") == []


def test_the_audit_tells_of_each_change_without_secrets(make, api, owner):
    made = make(**WEBHOOK | {"url": URL + "?key=very-secret"})
    path = f"/v1/alerts/{made['alert']['id']}"
    for change in ({"name": "x"}, {"enabled": False}, {"enabled": True}):
        api("PATCH", path, change)
    api("POST", f"{path}/rotate")
    api("POST", f"{path}/test")
    api("DELETE", path)
    rows = owner.run_script("SELECT action, details FROM job_audit_entries ORDER BY occurred_at")
    assert [action for action, _ in rows] == [
        *("alert.made", "alert.changed", "alert.paused", "alert.resumed"),
        *("alert.secret_rotated", "alert.tested", "alert.deleted"),
    ]
    assert rows[0][1]["host"] == "hooks.example.com"
    assert "very-secret" not in str(rows)
    assert "whsec_" not in str(rows)


def test_a_deleted_alert_is_gone_with_its_secrets(make, api, owner, team):
    alert = make(**WEBHOOK)["alert"]
    assert api("DELETE", f"/v1/alerts/{alert['id']}") == (200, {"deleted": True})
    assert api("GET", f"/v1/alerts/{alert['id']}")[0] == 404
    assert api("GET", f"/v1/teams/{team.id}/alerts")[1] == {"alerts": []}
    assert owner.run_script("SELECT secret_encrypted, old_secret_encrypted FROM job_alerts") == [[None, None]]


def test_with_ipv6_alone_a_note_says_that_most_endpoints_cannot_be_reached(make, monkeypatch):
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    assert "IPv6 alone" in make(**WEBHOOK)["notes"][0]
    assert make(**MAIL)["notes"] == []


class TestAddresses:
    @pytest.fixture
    def asked(self, make, owner, configure, ses):  # noqa: F811
        """Make an alert to an address outside the team, send the mail that asks, and return the mail's token."""
        configure(MAIL_FROM=SENDER, DASHBOARD_URL="https://jobs.example/", AWS_ENDPOINT_URL_SESV2=ses.url)
        made = make(channel="mail", events=["failed"], addresses=["Ops@Else.example", "member@owls.example"])
        assert made["notes"] == [
            "An address does not belong to the team. A mail asks to confirm; until then no alert is sent there."
        ]
        assert made["alert"]["addresses"] == [
            {"address": "ops@else.example", "state": "waiting"},
            {"address": "member@owls.example", "state": "member"},
        ]
        [[outbox_id]] = owner.run_script("SELECT id::text FROM job_outbox")
        notified(outbox_id)
        [mail] = ses.mails
        text = mail["Content"]["Simple"]["Body"]["Text"]["Data"]
        return made["alert"]["id"], text.partition("https://jobs.example/confirm#")[2].split()[0]

    def test_the_owner_confirms_once_and_without_a_sign_in(self, asked, api, owner):
        alert_id, token = asked
        assert token
        assert token not in str(owner.run_script("SELECT * FROM job_outbox, job_alert_addresses"))
        anybody = Api()
        assert anybody("POST", "/v1/alert-addresses/confirm", {"token": token}) == (
            200,
            {"confirmed": True, "address": "ops@else.example", "team": "The owls"},
        )
        assert api("GET", f"/v1/alerts/{alert_id}")[1]["alert"]["addresses"][0]["state"] == "confirmed"
        assert anybody("POST", "/v1/alert-addresses/confirm", {"token": token})[0] == 400

    @pytest.mark.parametrize("change", ["asked_at = now() - interval '8 days'", "token_hash = 'x'"])
    def test_an_old_or_replaced_token_confirms_nothing(self, asked, owner, change):
        owner.run_script(f"UPDATE job_alert_addresses SET {change}")
        status, answer = Api()("POST", "/v1/alert-addresses/confirm", {"token": asked[1]})
        assert (status, answer["error"].split(":")[0]) == (400, "This link is not valid")
        assert owner.run_script("SELECT confirmed_at FROM job_alert_addresses") == [[None]]

    def test_an_address_that_is_confirmed_meanwhile_gets_no_mail(self, make, owner, configure, ses):  # noqa: F811
        configure(MAIL_FROM=SENDER, DASHBOARD_URL="https://jobs.example/", AWS_ENDPOINT_URL_SESV2=ses.url)
        make(channel="mail", events=["failed"], addresses=["ops@else.example"])
        owner.run_script("UPDATE job_alert_addresses SET confirmed_at = now()")
        [[outbox_id]] = owner.run_script("SELECT id::text FROM job_outbox")
        notified(outbox_id)
        assert ses.mails == []
        assert owner.run_script("SELECT status FROM job_outbox") == [["unwanted"]]

    def test_an_alert_that_does_not_name_the_address_any_longer_asks_it_nothing(self, make, api, owner, configure, ses):  # noqa: F811
        configure(MAIL_FROM=SENDER, DASHBOARD_URL="https://jobs.example/", AWS_ENDPOINT_URL_SESV2=ses.url)
        made = make(channel="mail", events=["failed"], addresses=["ops@else.example"])
        api("PATCH", f"/v1/alerts/{made['alert']['id']}", {"addresses": ["other@else.example"]})
        for [outbox_id] in owner.run_script("SELECT id::text FROM job_outbox"):
            notified(outbox_id)
        assert ses.recipients == ["other@else.example"]

    def test_an_address_is_asked_once_a_day_and_then_less_often(self, asked, api, owner):
        for _ in range(3):
            _, answer = api("PATCH", f"/v1/alerts/{asked[0]}", {"addresses": ["ops@else.example"]})
        assert answer["notes"][0].startswith("An address was asked before and did not confirm.")
        assert owner.run_script("SELECT count(*) FROM job_outbox") == [[1]]
        owner.run_script("UPDATE job_alert_addresses SET asked_at = now() - interval '1 day'")
        _, answer = api("PATCH", f"/v1/alerts/{asked[0]}", {"addresses": ["ops@else.example"]})
        assert answer["notes"][0].startswith("An address does not belong to the team.")
        assert owner.run_script("SELECT count(*) FROM job_outbox") == [[2]]

    def test_two_spellings_of_an_address_are_asked_once(self, make, owner):
        made = make(channel="mail", events=["failed"], addresses=["ops@else.example", "Ops@Else.example"])
        assert made["alert"]["addresses"] == [{"address": "ops@else.example", "state": "waiting"}]
        assert owner.run_script("SELECT recipient FROM job_outbox") == [["ops@else.example"]]

    def test_an_address_that_is_asked_again_counts_once(self, make, api, owner):
        for number in range(2):
            made = make(
                channel="mail", events=["failed"], addresses=[f"{number}-{each}@x.example" for each in range(7)]
            )
        owner.run_script("UPDATE job_alert_addresses SET asked_at = now() - interval '1 day'")
        assert api("PATCH", f"/v1/alerts/{made['alert']['id']}", {"name": "Nightly"})[0] == 200

    def test_nobody_fills_the_inboxes_of_strangers(self, make, api, team, owner):
        for number in range(2):
            make(channel="mail", events=["failed"], addresses=[f"{number}-{each}@x.example" for each in range(10)])
        status, answer = api("POST", f"/v1/teams/{team.id}/alerts", MAIL | {"addresses": ["one-more@x.example"]})
        assert status == 400
        assert answer["error"].startswith("This team has asked 20 addresses")
        assert owner.run_script("SELECT count(*) FROM job_outbox") == [[20]]
        assert owner.run_script("SELECT count(*) FROM job_alerts") == [[2]]
