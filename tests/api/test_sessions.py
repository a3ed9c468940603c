"""Sign-in by code and by link, and sessions, through the handlers of the API, the notify and the setup function."""

import hashlib
import json
import re
import threading

import pytest

from nightshift.base.settings import settings
from nightshift.database import queries
from nightshift.database.queries import database
from nightshift.notify import mail_stops
from nightshift.testing.rows import make_team
from tests.api.sign_in_world import ORIGIN, Browser, Terminal, asked_for, code_in, deliver, text_of
from tests.support.fixtures import CONTEXT, JWT_SECRET, load_function
from tests.support.mail_world import SENDER
from tests.support.world import token

ADMIN = "admin@owls.example"
WRONG = re.compile("^This code is wrong, or no longer valid")
ENDED = (401, {"error": "The session has ended. Sign in again."})


@pytest.fixture
def team(configure, ses, owner):
    configure(MAIL_FROM=SENDER, AWS_ENDPOINT_URL_SESV2=ses.url)
    return make_team(owner)


@pytest.fixture
def code(team, ses):
    """A browser, what it enters a code with, and the code."""
    browser = Browser()
    return browser, *browser.code(ADMIN, ses)


@pytest.fixture
def signed_in(team, ses):
    browser = Browser()
    assert browser.sign_in(ADMIN, ses)[0] == 200
    return browser


def another(code):
    return f"{(int(code) + 1) % 10**8:08}"


def actions(owner):
    rows = owner.run_script(
        "SELECT action, actor, team_id, details FROM job_audit_entries"
        " WHERE action LIKE 'session.%' OR action LIKE 'sign_in%' ORDER BY occurred_at"
    )
    return [tuple(row) for row in rows]


class TestByCode:
    def test_a_browser_gets_a_cookie_and_the_person_is_known(self, code, team, owner):
        browser, sign_in, digits = code
        status, answer = browser.enter(sign_in, f" {digits[:4]}-{digits[4:]} ")
        assert status == 200
        assert "token" not in answer
        session = answer["session"]
        assert (session["browser"], session["network"], session["signed_in_by"]) == (
            "Chrome on Linux",
            "203.0.113.7",
            "code",
        )
        status, me = browser("GET", "/v1/auth/whoami")
        assert (status, me["email"], [team["role"] for team in me["teams"]]) == (200, ADMIN, ["admin"])
        actor = f"user:{team.users['admin']}"
        assert actions(owner) == [
            ("session.started", actor, None, {"by": "code", "browser": "Chrome on Linux"}),
        ]

    def test_the_command_line_gets_a_token(self, team, ses):
        terminal = Terminal()
        status, answer = terminal.sign_in(ADMIN, ses)
        assert (status, terminal.cookie) == (200, None)
        assert answer["session"]["browser"] == "The command line"
        bearer = {"authorization": f"Bearer {answer['token']}"}
        assert terminal("GET", "/v1/auth/whoami", headers=bearer)[0] == 200

    def test_no_table_holds_code_or_token(self, code, owner):
        browser, sign_in, digits = code
        browser.enter(sign_in, digits)
        secrets = (digits, sign_in.partition(".")[2], browser.cookie.partition("=")[2])
        for table in ("job_sign_ins", "job_sign_in_shares", "job_sessions", "job_audit_entries", "job_outbox"):
            rows = json.dumps([row[0] for row in owner.run_script(f"SELECT to_jsonb({table}) FROM {table}")])
            assert not [secret for secret in secrets if secret in rows]
        stored = owner.run_script("SELECT token_hash FROM job_sessions")
        assert stored == [[hashlib.sha256(secrets[2].encode()).digest()]]

    def test_no_log_holds_code_or_address(self, team, ses, caplog, capsys):
        browser = Browser()
        sign_in = browser.ask(ADMIN)
        deliver()
        browser.enter(sign_in, another(code_in(ses)))
        browser.enter(sign_in, code_in(ses))
        ses.refusal = (400, "MessageRejected", f"Email address is not verified: {ADMIN}")
        browser.ask(ADMIN)
        deliver()
        logs = f"{[vars(record) for record in caplog.records]} {capsys.readouterr().out}"
        assert "code_failed" in logs
        assert not [secret for secret in (code_in(ses), sign_in.partition(".")[2], ADMIN) if secret in logs]

    def test_the_mail_says_what_asked_and_warns(self, code, ses):
        [mail] = ses.mails
        said = text_of(mail)
        assert mail["Destination"] == {"ToAddresses": [ADMIN]}
        assert ses.subjects == ["Your code for Nightshift"]
        assert re.search(r"With +Chrome on Linux\nFrom +203\.0\.113\.7\n", said)
        assert "If you did not ask for it, ignore this mail" in said
        assert f"{ORIGIN}/" in said

    def test_the_header_of_a_program_reaches_no_mail(self, team, ses):
        Browser().send(
            "POST", "/v1/auth/codes", {"email": ADMIN}, headers={"user-agent": "Call 0800 1234 <b>now</b> Firefox/1"}
        )
        deliver()
        assert re.search(r"With +Firefox\n", text_of(ses.mails[0]))
        assert "0800" not in json.dumps(ses.mails)

    def test_the_mail_goes_to_the_address_that_the_platform_stores(self, team, ses):
        Browser().ask("ADMIN@OWLS.example")
        deliver()
        assert ses.recipients == [ADMIN]

    def test_it_is_mailed_once(self, team, ses):
        browser = Browser()
        sign_in_id = browser.ask(ADMIN).partition(".")[0]
        deliver(sign_in_id)
        deliver(sign_in_id)
        assert len(ses.mails) == 1


class TestAttacksOnCodes:
    def test_of_a_hundred_tries_at_once_five_are_compared(self, code, owner, connect):
        """Twenty sessions try five wrong codes each. Then the right one comes too late."""
        _, sign_in, digits = code
        sign_in_id, key = sign_in.split(".")
        from nightshift.tenants import sign_in_codes
        from nightshift.tenants.auth import key_hash

        hashes = [sign_in_codes.hash_of(sign_in_id, f"{number:08}", settings=settings()) for number in range(100)]
        compared, ready = [], threading.Barrier(20)

        def attack(db, hashes):
            ready.wait()
            for secret_hash in hashes:
                compared.extend(
                    db.query("enter_secret", id=sign_in_id, secret_hash=secret_hash, browser_hash=key_hash(key))
                )

        threads = [threading.Thread(target=attack, args=(connect(), hashes[n::20])) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [row["user_id"] for row in compared] == [None] * 5
        assert owner.run_script("SELECT tries FROM job_sign_ins") == [[5]]
        browser = code[0]
        status, answer = browser.enter(sign_in, digits)
        assert status == 400
        assert WRONG.match(answer["error"])

    def test_wrong_tries_are_committed(self, code, owner):
        browser, sign_in, digits = code
        for count in range(1, 5):
            assert browser.enter(sign_in, another(digits))[0] == 400
            assert owner.run_script("SELECT tries FROM job_sign_ins") == [[count]]
        assert browser.enter(sign_in, digits)[0] == 200

    def test_a_code_works_once(self, code):
        browser, sign_in, digits = code
        assert browser.enter(sign_in, digits)[0] == 200
        status, answer = Browser().enter(sign_in, digits)
        assert status == 400
        assert WRONG.match(answer["error"])

    def test_of_two_at_once_one_signs_in(self, code, owner):
        _, sign_in, digits = code
        results, ready = [], threading.Barrier(2)

        def enter():
            from nightshift.tenants import sign_ins
            from nightshift.tenants.sessions import Client

            db = queries.Database(settings())
            ready.wait()
            try:
                sign_ins.enter_code(
                    sign_in,
                    digits,
                    given=sign_ins.Given(Client("Chrome", "203.0.113.7", True), None, "r"),
                    db=db,
                    settings=settings(),
                )
                results.append("in")
            except Exception as exc:
                results.append(type(exc).__name__)
            db.close()

        threads = [threading.Thread(target=enter) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == ["Refused", "in"]
        assert owner.run_script("SELECT count(*) FROM job_sessions") == [[1]]

    def test_another_browser_cannot_enter_it_and_uses_up_no_tries(self, code, owner):
        browser, sign_in, digits = code
        foreign = Browser(source="198.51.100.9")
        own = foreign.ask("stranger@nowhere.example")
        forged = f"{sign_in.partition('.')[0]}.{own.partition('.')[2]}"
        for _ in range(6):
            assert WRONG.match(foreign.enter(forged, digits)[1]["error"])
        assert owner.run_script("SELECT max(tries) FROM job_sign_ins") == [[0]]
        assert browser.enter(sign_in, digits)[0] == 200

    def test_after_ten_minutes_it_is_over(self, code, owner):
        browser, sign_in, digits = code
        owner.run_script("UPDATE job_sign_ins SET expires_at = expires_at - interval '10 minutes'")
        assert browser.enter(sign_in, digits)[0] == 400
        [[left]] = owner.run_script("SELECT extract(epoch FROM expires_at - asked_at) FROM job_sign_ins")
        assert left < 1

    def test_a_code_that_is_late_is_not_mailed(self, team, ses, owner):
        Browser().ask(ADMIN)
        owner.run_script("UPDATE job_sign_ins SET expires_at = clock_timestamp()")
        deliver()
        assert ses.mails == []

    def test_a_newer_code_ends_the_older_one_of_the_same_browser_and_address(self, code, ses):
        browser, older, digits = code
        stranger = Browser(source="198.51.100.9")
        stranger.ask(ADMIN, replaces=f"{older.partition('.')[0]}.{'x' * 43}")
        browser.ask("other@owls.example", replaces=older)
        newer = browser.ask(ADMIN)
        deliver()
        newest = code_in(ses)
        browser.ask(ADMIN, replaces=older)
        assert browser.enter(older, digits)[0] == 400
        assert browser.enter(newer, newest)[0] == 200

    def test_a_deleted_person_does_not_get_in(self, code, owner):
        browser, sign_in, digits = code
        owner.run_script("UPDATE users SET deleted_at = clock_timestamp()")
        assert browser.enter(sign_in, digits)[0] == 400
        assert browser.cookie is None

    @pytest.mark.parametrize("body", [{}, {"sign_in": "x", "code": "12345678"}, {"sign_in": "x"}, {"link": "x"}])
    def test_damaged_bodies(self, team, body):
        assert Browser()("POST", "/v1/auth/sessions", body)[0] == 400

    @pytest.mark.parametrize("given", ["1234567", "123456789", "1234567a", "١٢٣٤٥٦٧٨", ""])
    def test_what_is_no_code_uses_up_no_try_and_is_not_repeated(self, code, given, owner):
        browser, sign_in, _ = code
        assert browser.enter(sign_in, given) == (400, {"error": "code must be 8 digits", "field": "code"})
        assert owner.run_script("SELECT tries FROM job_sign_ins") == [[0]]


class TestStrangers:
    """Nobody can tell from an answer or from its cost whether an address is known."""

    @pytest.fixture
    def kinds(self, team, owner, db):
        mail_stops.stop(mail_stops.Told("bounce", [("owner@owls.example", None)]), db=db)
        owner.run_script(
            "INSERT INTO users (email, deleted_at) VALUES ('gone@owls.example', clock_timestamp());"
            "INSERT INTO job_sign_in_shares SELECT 'user ' || id, array_fill(clock_timestamp(), ARRAY[5]),"
            " clock_timestamp() + interval '1 hour' FROM users WHERE email = 'member@owls.example'"
        )
        return {
            "known": ADMIN,
            "unknown": "unknown@owls.example",
            "stopped": "owner@owls.example",
            "limited": "member@owls.example",
            "deleted": "gone@owls.example",
        }

    def test_same_answer_and_same_work(self, kinds, ses):
        costs, shapes, said = set(), set(), set()
        Browser().ask("warm@owls.example")
        asked_for(settings().notify_queue_url)
        for email in kinds.values():
            browser = Browser()
            before = database().statements
            answer = browser.send("POST", "/v1/auth/codes", {"email": email})
            costs.add(database().statements - before)
            body = json.loads(answer["body"])
            shapes.add((answer["statusCode"], len(answer["body"]), tuple(answer["headers"]), tuple(body)))
            waiting = asked_for(settings().notify_queue_url)
            assert len(waiting) == 1
            deliver(*waiting)
            before = database().statements
            said.add(json.dumps(browser.enter(body["sign_in"], "00000000")))
            costs.add((database().statements - before, "to enter"))
        assert costs == {1, (3, "to enter")}
        assert len(shapes) == len(said) == 1
        assert ses.recipients == [ADMIN]

    def test_tries_are_counted_alike(self, kinds, owner):
        for email in kinds.values():
            browser = Browser()
            sign_in = browser.ask(email)
            deliver()
            for _ in range(6):
                browser.enter(sign_in, "00000000")
        assert owner.run_script("SELECT DISTINCT tries FROM job_sign_ins") == [[5]]

    def test_two_people_of_one_address_get_nothing(self, team, ses, owner):
        indexes = owner.run_script(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'users' AND indexdef LIKE '%UNIQUE%email%'"
        )
        for [name] in indexes:
            owner.run_script(f"DROP INDEX {name}")
        owner.run_script(f"INSERT INTO users (email) VALUES ('{ADMIN.upper()}')")
        Browser().ask(ADMIN)
        deliver()
        assert ses.mails == []


class TestLimits:
    def test_a_person_gets_five_in_an_hour_wherever_they_are_asked_for(self, team, ses, owner):
        for number in range(8):
            Browser(source=f"203.0.113.{number}").ask(ADMIN)
        deliver()
        assert ses.recipients == [ADMIN] * 5
        owner.run_script(
            "UPDATE job_sign_in_shares SET taken_at ="
            " ARRAY(SELECT taken - interval '1 hour' FROM unnest(taken_at) AS taken)"
        )
        Browser().ask(ADMIN)
        deliver()
        assert len(ses.mails) == 6

    def test_a_code_beyond_the_limit_fits_nothing(self, team, ses, owner):
        from nightshift.tenants import sign_in_codes

        owner.run_script(
            "INSERT INTO job_sign_in_shares SELECT 'user ' || id, array_fill(clock_timestamp(), ARRAY[5]),"
            " clock_timestamp() + interval '1 hour' FROM users"
        )
        browser = Browser()
        sign_in = browser.ask(ADMIN)
        deliver()
        right = sign_in_codes.code_of(sign_in.partition(".")[0], settings=settings())
        assert browser.enter(sign_in, right)[0] == 400

    def test_a_network_gets_a_quarter_and_is_told(self, configure, team):
        configure(SIGN_IN_CODES_PER_HOUR="8")
        browser = Browser(source="2001:db8:1:2:a::1")
        for number in range(2):
            browser.source = f"2001:db8:1:2:{number}::1"
            browser.ask(f"someone{number}@owls.example")
        answer = browser.send("POST", "/v1/auth/codes", {"email": ADMIN})
        body = json.loads(answer["body"])
        assert answer["statusCode"] == 429
        assert 3590 < body["retry_after_s"] <= 3600
        assert answer["headers"]["Retry-After"] == str(body["retry_after_s"])
        assert len(asked_for(settings().notify_queue_url)) == 2
        browser.source = "2001:db8:1:3::1"
        browser.ask(ADMIN)

    def test_all_people_together_have_a_limit_that_strangers_do_not_use_up(self, configure, team, ses):
        configure(SIGN_IN_CODES_PER_HOUR="3")
        for number in range(6):
            Browser(source=f"203.0.113.{number}").ask("unknown@owls.example")
        for number in range(4):
            Browser(source=f"198.51.100.{number}").ask(("admin", "member", "owner")[number % 3] + "@owls.example")
        deliver()
        assert len(ses.mails) == 3

    def test_a_person_beyond_their_limit_takes_nothing_from_others(self, configure, team, ses):
        configure(SIGN_IN_CODES_PER_HOUR="6")
        for number in range(9):
            Browser(source=f"203.0.113.{number}").ask(ADMIN)
        Browser(source="198.51.100.1").ask("member@owls.example")
        deliver()
        assert sorted(ses.recipients) == [ADMIN] * 5 + ["member@owls.example"]

    def test_at_once_the_limit_holds(self, team, connect, owner):
        taken, ready = [], threading.Barrier(8)

        def take(db):
            ready.wait()
            for _ in range(5):
                taken.append(db.run_script("SELECT take_sign_in_share('all', 7)")[0][0])

        threads = [threading.Thread(target=take, args=(connect(),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert taken.count(True) == 7
        assert taken.count(None) == 33

    def test_if_the_queue_does_not_answer_everyone_is_told(self, configure, team):
        configure(NOTIFY_QUEUE_URL="http://127.0.0.1:9/q", AWS_ENDPOINT_URL_SQS="http://127.0.0.1:9")
        for email in (ADMIN, "unknown@owls.example"):
            status, answer = Browser()("POST", "/v1/auth/codes", {"email": email})
            assert (status, answer) == (503, {"error": "The code cannot be sent at the moment. Try again in a moment."})

    def test_a_secret_that_cannot_be_read_is_no_refused_sign_in(self, configure, code, capsys):
        browser, sign_in, digits = code
        configure(SIGN_IN_SECRET_ID="unknown")
        assert browser.enter(sign_in, digits)[0] == 503
        assert "SignInsRefused" not in capsys.readouterr().out


class TestTurnedOff:
    @pytest.fixture
    def off(self, configure, team):
        configure(SIGN_IN_CODES_PER_HOUR="0")

    def test_the_routes_say_so(self, off):
        for method, path, body in (
            ("GET", "/v1/auth/codes", None),
            ("POST", "/v1/auth/codes", {"email": ADMIN}),
            ("POST", "/v1/auth/sessions", {"link": "x"}),
        ):
            status, answer = Browser()(method, path, body)
            assert status == 404
            assert answer["error"].startswith("This server offers no sign-in by code")

    def test_no_link_is_made(self, off):
        answer = load_function("setup").handler({"command": "sign_in_link", "email": ADMIN}, CONTEXT)
        assert "SignInCodesPerHour" in answer["error"]

    def test_tokens_go_on_working(self, off, team):
        bearer = {"authorization": f"Bearer {token(team.users['admin'], JWT_SECRET)}"}
        assert Terminal()("GET", "/v1/auth/whoami", headers=bearer)[0] == 200


class TestLinks:
    @pytest.fixture
    def link(self, team):
        answer = load_function("setup").handler(
            {"command": "sign_in_link", "email": ADMIN.upper(), "caller": "arn:aws:iam::1:user/ada"}, CONTEXT
        )
        assert answer["expires_in_s"] == 600
        address, secret = answer["link"].split("#sign-in=")
        assert address == f"{ORIGIN}/"
        return secret

    def test_it_signs_in_once(self, link, owner, team):
        browser = Browser()
        status, answer = browser("POST", "/v1/auth/sessions", {"link": link})
        assert (status, answer["session"]["signed_in_by"]) == (200, "link")
        assert browser("GET", "/v1/auth/whoami")[1]["email"] == ADMIN
        again = Browser()("POST", "/v1/auth/sessions", {"link": link})
        assert again[0] == 400
        assert again[1]["error"].startswith("This link is no longer valid")
        actor = f"user:{team.users['admin']}"
        assert actions(owner) == [
            ("sign_in_link.made", "operator:arn:aws:iam::1:user/ada", None, {"email": ADMIN.upper()}),
            ("session.started", actor, None, {"by": "link", "browser": "Chrome on Linux"}),
        ]

    def test_it_expires(self, link, owner):
        owner.run_script("UPDATE job_sign_ins SET expires_at = clock_timestamp()")
        assert Browser()("POST", "/v1/auth/sessions", {"link": link})[0] == 400

    def test_it_is_no_code_and_a_code_is_no_link(self, link, code):
        browser, sign_in, digits = code
        assert browser.enter(link, digits)[0] == 400
        assert browser("POST", "/v1/auth/sessions", {"link": sign_in})[0] == 400
        assert browser("POST", "/v1/auth/sessions", {"link": f"{sign_in.partition('.')[0]}.{digits}"})[0] == 400

    def test_it_needs_a_person(self, team):
        answer = load_function("setup").handler({"command": "sign_in_link", "email": "x@owls.example"}, CONTEXT)
        assert answer["error"].startswith('No person, or more than one, has the address "x@owls.example"')


class TestCookies:
    """A cookie alone changes nothing: the request needs our header and our origin."""

    def test_a_foreign_page(self, signed_in):
        own = "https://jobs.owls.example"
        for method, headers in (
            ("GET", {"x-nightshift": None}),
            ("GET", {"x-nightshift": "2"}),
            *(("GET", {"sec-fetch-site": site}) for site in (None, "same-site", "cross-site", "none")),
            *(("GET", {"origin": origin}) for origin in ("https://evil.example", "null")),
            ("DELETE", {"x-nightshift": None}),
            *(
                ("DELETE", {"origin": origin})
                for origin in (None, "null", "", f"{own}:8443", "http://jobs.owls.example", f"{own}.evil.example")
            ),
            ("DELETE", {"origin": "https://evil.owls.example"}),
        ):
            status, answer = signed_in(method, "/v1/auth/sessions", headers=headers)
            assert status == 403, headers
            assert re.search(f"X-Nightshift|must come from the dashboard at {own}", answer["error"])
        assert signed_in("GET", "/v1/auth/whoami")[0] == 200

    def test_its_own_page(self, signed_in):
        assert signed_in("GET", "/v1/auth/whoami")[0] == 200
        assert signed_in("GET", "/v1/auth/whoami", headers={"origin": ORIGIN, "sec-fetch-site": None})[0] == 200
        assert signed_in("DELETE", "/v1/auth/sessions")[0] == 200

    def test_the_origin_without_a_domain_of_its_own_is_the_name_that_was_called(self, configure, signed_in):
        configure(DASHBOARD_URL="")
        from api import browsers

        event = {"requestContext": {"domainName": "abc.execute-api.eu-west-1.amazonaws.com"}}
        assert browsers.own_origin(event, dashboard_url="") == "https://abc.execute-api.eu-west-1.amazonaws.com"
        for url in ("https://Jobs.example/base/", "https://jobs.example:443/"):
            assert browsers.own_origin(event, dashboard_url=url) == "https://jobs.example"
        assert browsers.own_origin(event, dashboard_url="https://jobs.example:8443/") == "https://jobs.example:8443"
        assert signed_in("DELETE", "/v1/auth/sessions")[0] == 403

    def test_a_foreign_page_cannot_sign_a_browser_in(self, code):
        browser, sign_in, digits = code
        for headers in ({"origin": "https://evil.example"}, {"x-nightshift": None}, {"origin": None}):
            answer = browser.send("POST", "/v1/auth/sessions", {"sign_in": sign_in, "code": digits}, headers=headers)
            assert answer["statusCode"] == 403
            assert "cookies" not in answer or answer["cookies"] == []
        assert browser.enter(sign_in, digits)[0] == 200

    def test_authorization_comes_before_the_cookie(self, signed_in, team):
        bearer = {"authorization": f"Bearer {token(team.users['member'], JWT_SECRET)}"}
        assert signed_in("GET", "/v1/auth/whoami", headers=bearer | {"x-nightshift": None})[1]["email"].startswith(
            "member@"
        )
        status, answer = signed_in("GET", "/v1/auth/whoami", headers={"authorization": "Bearer owl_agent_x"})
        assert (status, answer["error"]) == (401, "Invalid API key")
        assert signed_in("GET", "/v1/auth/whoami", headers={"authorization": ""})[0] == 401

    def test_a_cookie_is_no_bearer_token_and_a_bearer_token_no_cookie(self, signed_in, ses):
        cookie = signed_in.cookie.partition("=")[2]
        assert Terminal()("GET", "/v1/auth/whoami", headers={"authorization": f"Bearer {cookie}"}) == ENDED
        other = Browser()
        other.cookie = f"__Host-nightshift={Terminal().sign_in(ADMIN, ses)[1]['token']}"
        assert other("GET", "/v1/auth/whoami") == ENDED

    def test_local_aws_leaves_cookies_in_the_headers(self, signed_in):
        kept = signed_in.cookie
        signed_in.cookie = None
        headers = {"cookie": f"a=b; {kept}; c=__Host-nightshift=x"}
        assert signed_in("GET", "/v1/auth/whoami", headers=headers)[0] == 200

    def test_preflights_are_not_answered(self, signed_in):
        answer = signed_in.send(
            "OPTIONS",
            "/v1/auth/sessions",
            headers={"origin": "https://evil.example", "access-control-request-headers": "x-nightshift"},
        )
        assert not [name for name in answer["headers"] if name.lower().startswith("access-control")]


class TestSessions:
    def test_the_token_is_new_at_each_sign_in_and_the_old_one_ends(self, signed_in, ses, owner):
        before = signed_in.cookie
        assert signed_in.sign_in(ADMIN, ses)[0] == 200
        assert signed_in.cookie != before
        old = Browser()
        old.cookie = before
        assert old("GET", "/v1/auth/whoami") == ENDED
        assert owner.run_script("SELECT count(*) FROM job_sessions") == [[1]]

    def test_a_token_that_was_planted_is_not_taken_over(self, team, ses):
        victim = Browser()
        victim.cookie = planted = "__Host-nightshift=owl_session_planted"
        victim.sign_in(ADMIN, ses)
        assert victim.cookie != planted
        attacker = Browser()
        attacker.cookie = planted
        assert attacker("GET", "/v1/auth/whoami") == ENDED

    def test_a_request_takes_one_statement(self, signed_in):
        signed_in("GET", "/v1/auth/whoami")
        before = database().statements
        signed_in("GET", "/v1/auth/whoami")
        assert database().statements - before == 1

    def test_the_last_use_is_written_once_in_ten_minutes(self, signed_in, owner):
        age(owner, "11 minutes")
        before = database().statements
        for _ in range(3):
            assert signed_in("GET", "/v1/auth/whoami")[0] == 200
        assert database().statements - before == 4
        [[idle, left]] = owner.run_script(
            "SELECT extract(epoch FROM clock_timestamp() - last_used_at), extract(epoch FROM ends_at -"
            " clock_timestamp()) FROM job_sessions"
        )
        assert idle < 60
        assert 12 * 3600 - 60 < left <= 12 * 3600

    def test_it_ends_after_twelve_hours_without_use(self, signed_in, owner):
        age(owner, "11 hours 59 minutes")
        assert signed_in("GET", "/v1/auth/whoami")[0] == 200
        age(owner, "12 hours")
        assert signed_in("GET", "/v1/auth/whoami") == ENDED

    def test_it_ends_after_thirty_days_in_all(self, signed_in, owner):
        owner.run_script(
            "UPDATE job_sessions SET created_at = created_at - interval '29 days 23 hours',"
            " last_used_at = last_used_at - interval '11 minutes', ends_at = clock_timestamp() + interval '30 minutes'"
        )
        signed_in("GET", "/v1/auth/whoami")
        [[left]] = owner.run_script("SELECT extract(epoch FROM ends_at - clock_timestamp()) FROM job_sessions")
        assert 2800 < left < 3600
        owner.run_script("UPDATE job_sessions SET ends_at = ends_at - interval '1 hour'")
        assert signed_in("GET", "/v1/auth/whoami") == ENDED

    def test_a_removed_member_and_a_deleted_person_lose_it_at_once(self, signed_in, team, owner):
        runs = f"/v1/teams/{team.id}/jobs"
        assert signed_in("GET", runs)[0] == 200
        owner.run_script(f"UPDATE team_members SET role = 'member' WHERE user_id = '{team.users['admin']}'")
        assert signed_in("GET", runs)[1]["error"] == "Requires admin role or higher"
        owner.run_script(f"DELETE FROM team_members WHERE user_id = '{team.users['admin']}'")
        assert signed_in("GET", runs)[1]["error"] == "Not a member of this team"
        assert signed_in("GET", "/v1/auth/whoami")[1]["teams"] == []
        owner.run_script(f"UPDATE users SET deleted_at = clock_timestamp() WHERE id = '{team.users['admin']}'")
        assert signed_in("GET", "/v1/auth/whoami") == ENDED

    def test_the_sweep_keeps_what_was_used_since_it_looked(self, signed_in, owner):
        [[session_id]] = owner.run_script("SELECT id::text FROM job_sessions")
        [[key]] = owner.run_script("SELECT key FROM job_sign_in_shares WHERE key = 'all'")
        assert owner.query("prune_sessions", keys=[session_id]) == []
        assert owner.query("prune_sign_in_shares", keys=[key]) == []

    def test_they_are_listed_and_ended(self, signed_in, ses, owner, team):
        terminal = Terminal()
        bearer = {"authorization": f"Bearer {terminal.sign_in(ADMIN, ses)[1]['token']}"}
        Browser().sign_in("member@owls.example", ses)
        _, listed = signed_in("GET", "/v1/auth/sessions")
        assert [(each["browser"], each["is_current"]) for each in listed["sessions"]] == [
            ("The command line", False),
            ("Chrome on Linux", True),
        ]
        other, own = (each["id"] for each in listed["sessions"])
        assert signed_in("DELETE", f"/v1/auth/sessions/{other}") == (200, {"ended": 1})
        assert signed_in.cookie
        assert terminal("GET", "/v1/auth/whoami", headers=bearer) == ENDED
        assert signed_in("DELETE", f"/v1/auth/sessions/{other}") == (404, {"error": "Session not found"})
        assert signed_in("DELETE", f"/v1/auth/sessions/{own}") == (200, {"ended": 1})
        assert signed_in.cookie is None
        assert [action for action, *_ in actions(owner)] == ["session.started"] * 3 + ["session.ended"] * 2

    def test_a_foreign_session_is_not_found(self, signed_in, ses):
        foreign = Browser()
        session_id = foreign.sign_in("member@owls.example", ses)[1]["session"]["id"]
        assert signed_in("DELETE", f"/v1/auth/sessions/{session_id}") == (404, {"error": "Session not found"})
        assert foreign("GET", "/v1/auth/whoami")[0] == 200

    def test_sign_out(self, signed_in):
        kept = signed_in.cookie
        assert signed_in("DELETE", "/v1/auth/sessions/current") == (200, {"ended": 1})
        assert signed_in.cookie is None
        signed_in.cookie = kept
        assert signed_in("GET", "/v1/auth/whoami") == ENDED

    def test_sign_out_everywhere(self, signed_in, ses, owner):
        phone = Browser()
        phone.sign_in(ADMIN, ses)
        other = Browser()
        other.sign_in("member@owls.example", ses)
        assert signed_in("DELETE", "/v1/auth/sessions") == (200, {"ended": 2})
        assert phone("GET", "/v1/auth/whoami") == ENDED
        assert other("GET", "/v1/auth/whoami")[0] == 200
        assert actions(owner)[-1][3] == {"sessions": 2}

    def test_signed_out_everywhere_no_code_that_was_sent_before_signs_in(self, signed_in, ses):
        phone, other = Browser(), Browser()
        (phones, phones_code), (others, others_code) = phone.code(ADMIN, ses), other.code("member@owls.example", ses)
        signed_in("DELETE", "/v1/auth/sessions")
        assert phone.enter(phones, phones_code)[0] == 400
        assert other.enter(others, others_code)[0] == 200

    def test_one_session_that_ends_leaves_the_codes(self, signed_in, ses):
        phone = Browser()
        sign_in, code = phone.code(ADMIN, ses)
        signed_in("DELETE", "/v1/auth/sessions/current")
        assert phone.enter(sign_in, code)[0] == 200

    def test_a_session_that_another_sign_in_replaces_is_in_the_audit(self, signed_in, ses, owner, team):
        [[first]] = owner.run_script("SELECT id::text FROM job_sessions")
        _, answer = signed_in.sign_in("member@owls.example", ses)
        told = {(action, actor): details for action, actor, _, details in actions(owner)[1:]}
        assert told == {
            ("session.ended", f"user:{team.users['admin']}"): {"replaced_by": answer["session"]["id"]},
            ("session.started", f"user:{team.users['member']}"): {"by": "code", "browser": "Chrome on Linux"},
        }
        assert owner.run_script("SELECT subject_id FROM job_audit_entries WHERE action = 'session.ended'") == [[first]]
        owner.run_script("UPDATE job_sessions SET ends_at = clock_timestamp(); DELETE FROM job_audit_entries")
        signed_in.sign_in(ADMIN, ses)
        assert [action for action, *_ in actions(owner)] == ["session.started"]

    def test_an_identity_provider_s_token_lists_and_ends_them_too(self, signed_in, team):
        bearer = {"authorization": f"Bearer {token(team.users['admin'], JWT_SECRET)}"}
        _, listed = Terminal()("GET", "/v1/auth/sessions", headers=bearer)
        assert [each["is_current"] for each in listed["sessions"]] == [False]
        assert Terminal()("DELETE", "/v1/auth/sessions/current", headers=bearer)[0] == 400
        assert Terminal()("DELETE", "/v1/auth/sessions", headers=bearer) == (200, {"ended": 1})

    def test_a_key_has_none(self, team):
        bearer = {"authorization": f"Bearer {team.agent_key}"}
        status, answer = Terminal()("GET", "/v1/auth/sessions", headers=bearer)
        assert (status, answer["error"]) == (403, "Sessions belong to people, and this is an API key")

    def test_a_person_without_a_team_signs_in(self, team, ses, owner):
        owner.run_script("INSERT INTO users (email) VALUES ('new@owls.example')")
        browser = Browser()
        assert browser.sign_in("new@owls.example", ses)[0] == 200
        assert browser("GET", "/v1/auth/whoami")[1]["teams"] == []


def age(owner, interval):
    owner.run_script(
        f"UPDATE job_sessions SET created_at = least(created_at, clock_timestamp() - interval '{interval}'),"
        f" last_used_at = clock_timestamp() - interval '{interval}',"
        f" ends_at = least(clock_timestamp() - interval '{interval}' + interval '12 hours',"
        " created_at + interval '30 days')"
    )
