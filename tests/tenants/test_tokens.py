"""Users' tokens, signed with the stack's own secret or by an identity provider, with realistic clocks and keys."""

import base64
import hashlib
import hmac
import itertools
import json
import socket
import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nightshift.aws import clients
from nightshift.base.errors import Unavailable
from nightshift.base.settings import Settings
from nightshift.operator import doctor
from nightshift.tenants import jwks
from nightshift.tenants.jwks import KeySet
from nightshift.tenants.tokens import trouble_with
from nightshift.testing.rows import make_team
from tests.api.test_api import Api, error
from tests.support import identity
from tests.support.fixtures import JWT_SECRET
from tests.support.identity import AUDIENCE, ISSUER
from tests.support.world import token

REFUSED = error(401, "Invalid or expired token")


@pytest.fixture
def team(owner):
    return make_team(owner)


@pytest.fixture
def admin(team):
    return team.users["admin"]


@pytest.fixture
def provider(configure):
    with identity.serve() as provider:
        configure(JWKS_URL=provider.url, JWT_ISSUER=ISSUER, JWT_AUDIENCE=AUDIENCE)
        provider.add("first")
        yield provider


def asked_with(signed):
    return Api(f"Bearer {signed}")("GET", "/v1/auth/whoami")


def now():
    return int(time.time())


class TestClocks:
    def test_a_clock_may_be_off_by_a_minute(self, cloud, admin):
        for claim, off_s, status in [
            *[("exp", -50, 200), ("exp", -70, 401), ("nbf", 50, 200), ("nbf", 70, 401), ("iat", 50, 200)],
            *[("iat", 70, 401), ("iat", -999_999, 200)],
        ]:
            assert asked_with(token(admin, JWT_SECRET, **{claim: now() + off_s}))[0] == status, (claim, off_s)

    @pytest.mark.parametrize("kind", ["own", "published"])
    def test_odd_claims_are_refused_and_no_fault_of_ours(self, request, cloud, admin, kind):
        """They are correctly signed, and a trusted issuer may send any claims."""
        provider = request.getfixturevalue("provider") if kind == "published" else None
        for odd in [
            *[{"sub": value} for value in (5, None, "", "x", [], {}, True, "\ud800", "a" * 36, "0" * 32)],
            *[{"exp": value} for value in (None, "soon", [], float("inf"), float("nan"), -1)],
            *[{"nbf": value} for value in ("later", [], float("inf"))],
            *[{"iat": value} for value in ("once", {}, float("inf"))],
        ]:
            claims = {"sub": admin, "exp": now() + 60, "iss": ISSUER, "aud": AUDIENCE} | odd
            if provider:
                body, header = json.dumps(claims).encode(), {"kid": "first"}
                signed = jwt.PyJWS().encode(body, provider.private["first"], algorithm="RS256", headers=header)
            else:
                signed = _by_hand(claims)
            assert asked_with(signed) == REFUSED, odd


def _by_hand(claims, header=None, secret=JWT_SECRET):
    """Sign by hand, because PyJWT does not create such tokens."""
    parts = [header or {"alg": "HS256", "typ": "JWT"}, claims]
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    signature = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


class TestAlgorithms:
    def test_those_of_published_keys(self, provider, admin):
        algorithms = ("RS256", "PS256", "ES256", "EdDSA")
        for algorithm in algorithms:
            provider.add(algorithm, algorithm)
        for algorithm in algorithms:
            assert asked_with(provider.token(algorithm, algorithm, sub=admin))[0] == 200, algorithm

    def test_no_key_is_used_for_another_algorithm(self, provider, admin):
        for kid, of in (("rsa", "RS256"), ("elliptic", "ES256"), ("edwards", "EdDSA")):
            provider.add(kid, of)
        body = json.dumps({"sub": admin, "exp": now() + 60, "iss": ISSUER, "aud": AUDIENCE}).encode()
        kinds = (("rsa", ("RS256", "PS256")), ("elliptic", ("ES256",)), ("edwards", ("EdDSA",)))
        for (kid, own), algorithm in itertools.product(kinds, ("RS256", "PS256", "ES256", "EdDSA", "RS384", "none")):
            if algorithm not in own:
                header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": kid}).encode()).rstrip(b"=")
                forged = header + b"." + base64.urlsafe_b64encode(body).rstrip(b"=") + b".eHg"
                assert asked_with(forged.decode()) == REFUSED, (kid, algorithm)

    def test_a_key_that_is_meant_for_something_else_is_none(self, provider, admin):
        others = {"a": {"alg": "PS256"}, "b": {"use": "enc"}, "c": {"key_ops": ["encrypt"]}, "d": {"key_ops": 5}}
        for kid, changed in others.items():
            provider.add(kid, **changed)
        for kid, changed in others.items():
            assert asked_with(provider.token(kid, sub=admin)) == REFUSED, changed

    def test_the_two_kinds_are_never_mixed(self, provider, configure, admin):
        public = provider.private["first"].public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        claims = {"sub": admin, "exp": now() + 60, "iss": ISSUER, "aud": AUDIENCE}
        with_public_key = _by_hand(claims, {"alg": "HS256", "kid": "first"}, pem)
        with_secret = _by_hand(claims, {"alg": "HS256", "kid": "first"})
        published = provider.token("first", sub=admin)
        assert (asked_with(with_public_key), asked_with(with_secret)) == (REFUSED, REFUSED)
        assert asked_with(published)[0] == 200
        configure(JWKS_URL="")
        assert asked_with(with_secret)[0] == 200
        assert asked_with(published) == REFUSED

    def test_a_symmetric_key_in_the_set_signs_nothing(self, provider, admin):
        secret = base64.urlsafe_b64encode(JWT_SECRET.encode()).decode().rstrip("=")
        provider.keys.append({"kid": "shared", "kty": "oct", "k": secret, "alg": "HS256"})
        claims = {"sub": admin, "exp": now() + 60, "iss": ISSUER, "aud": AUDIENCE}
        assert asked_with(_by_hand(claims, {"alg": "HS256", "kid": "shared"})) == REFUSED

    def test_an_empty_secret_signs_nothing(self, configure, admin):
        empty = clients.client("secretsmanager").create_secret(Name="empty", SecretString=" ")["ARN"]
        configure(JWT_SECRET_ID=empty)
        assert asked_with(_by_hand({"sub": admin, "exp": now() + 60}, secret=" "))[0] == 503

    def test_a_key_id_that_is_none(self, provider, admin):
        for kid in (None, 5, [], {"a": 1}, "", "unknown", "x" * 5000):
            header = {"alg": "RS256"} | ({"kid": kid} if kid is not None else {})
            assert asked_with(_by_hand({"sub": admin, "exp": now() + 60}, header)) == REFUSED, kid


class TestWhoIssuedItForWhom:
    def test_only_tokens_of_the_issuer_for_this_application(self, provider, admin):
        for claims, status in [
            ({}, 200),
            ({"aud": ["other", AUDIENCE]}, 200),
            # Amazon Cognito's access tokens.
            ({"aud": None, "client_id": AUDIENCE, "token_use": "access"}, 200),
            ({"aud": None, "client_id": "other"}, 401),
            ({"aud": "other", "client_id": AUDIENCE}, 401),
            ({"aud": [], "client_id": AUDIENCE}, 401),
            ({"aud": None}, 401),
            ({"aud": f"{AUDIENCE}-staging"}, 401),
            ({"aud": 5}, 401),
            ({"iss": None}, 401),
            ({"iss": "https://identity.example"}, 401),
            ({"iss": "https://another.example/"}, 401),
        ]:
            assert asked_with(provider.token("first", sub=admin, **claims))[0] == status, claims

    def test_they_are_asked_for_with_a_secret_too_where_they_are_set(self, configure, admin):
        configure(JWT_ISSUER=ISSUER, JWT_AUDIENCE=AUDIENCE)
        assert asked_with(token(admin, JWT_SECRET, iss=ISSUER, aud=AUDIENCE))[0] == 200
        assert asked_with(token(admin, JWT_SECRET, iss=ISSUER, aud="another")) == REFUSED
        assert asked_with(token(admin, JWT_SECRET, iss="https://another.example", aud=AUDIENCE)) == REFUSED
        assert asked_with(token(admin, JWT_SECRET)) == REFUSED

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({"JWT_ISSUER": ""}, "JwksUrl needs JwtIssuer"),
            ({"JWT_AUDIENCE": ""}, "JwksUrl needs JwtAudience"),
            ({"JWKS_URL": "http://identity.example/jwks"}, "JwksUrl must begin with https://"),
            ({"JWKS_URL": "http://127.0.0.1.example/jwks"}, "JwksUrl must begin with https://"),
            ({"JWKS_URL": "file:///etc/passwd"}, "JwksUrl must begin with https://"),
            ({"JWKS_URL": "https://[::1"}, "JwksUrl must begin with https://"),
            ({"JWKS_URL": "", "JWT_ISSUER": "", "JWT_USER_CLAIM": "email"}, "JwtUserClaim=email needs JwtIssuer"),
        ],
    )
    def test_a_stack_that_would_take_others_tokens_takes_none(
        self, provider, configure, team, db, caplog, variables, said
    ):
        configure(**variables)
        answer = error(503, "Tokens cannot be verified at the moment. Try again, or use an API key.")
        assert asked_with(provider.token("first", sub=team.users["admin"])) == answer
        assert asked_with(team.agent_key)[0] == 200
        assert said in caplog.text
        [check] = [
            each
            for each in doctor.examine(db=db, settings=Settings.from_environment())["checks"]
            if each["name"] == "users' tokens"
        ]
        assert (check["ok"], check["says"].startswith(said)) == (False, True)

    def test_http_is_for_this_machine(self):
        for host in ("127.0.0.1:80", "localhost", "[::1]:8080"):
            settings = Settings(
                database_host="", database_user="", jwks_url=f"http://{host}/keys", jwt_issuer="i", jwt_audience="a"
            )
            assert trouble_with(settings) is None


class TestWhoItIsAbout:
    def test_another_claim_may_hold_the_id(self, provider, configure, admin):
        configure(JWT_USER_CLAIM="https://acme.example/user_id")
        mine = {"https://acme.example/user_id": admin}
        # A provider's own sub is rarely one of our ids, and may not even be text.
        for sub in ("auth0|5f7c", str(uuid.uuid4()), 5, None):
            status, answer = asked_with(provider.token("first", **mine, sub=sub) if sub != 5 else _odd(provider, mine))
            assert (status, answer["email"]) == (200, "admin@owls.example")
        assert asked_with(provider.token("first", sub=admin)) == REFUSED

    def test_an_address_is_not_matched_unless_it_is_asked_for(self, provider, admin):
        claims = {"sub": "auth0|5f7c", "email": "admin@owls.example", "email_verified": True}
        assert asked_with(provider.token("first", **claims)) == REFUSED

    def test_an_address_counts_where_it_is_verified(self, provider, configure, team, owner):
        owner.run_script("INSERT INTO users (email) VALUES ('kim@owls.example')")
        configure(JWT_USER_CLAIM="email")
        for claims, status in [
            *[({"email_verified": verified}, 200) for verified in (True, "true")],
            *[({"email_verified": verified}, 401) for verified in (False, "false", None, 1, "True!", [True], "yes")],
            ({"email_verified": True, "email": "ADMIN@Owls.example"}, 200),
            *[
                ({"email_verified": True, "email": email}, 401)
                for email in ("nobody@owls.example", "", None, 5, ["admin@owls.example"], "admin@owls.example\x00")
            ],
            # For a mail server, a Kelvin sign is not a k, although its lower case is one.
            ({"email_verified": True, "email": "\u212aim@owls.example"}, 401),
        ]:
            claims = {"sub": "auth0|5f7c", "email": "admin@owls.example"} | claims
            assert asked_with(provider.token("first", **claims))[0] == status, claims

    def test_an_address_of_two_people_is_of_neither(self, provider, configure, team, owner):
        configure(JWT_USER_CLAIM="email")
        claims = {"email": "admin@owls.example", "email_verified": True}
        assert asked_with(provider.token("first", **claims))[0] == 200
        owner.run_script("DROP INDEX users_email; INSERT INTO users (email) VALUES ('Admin@owls.example')")
        assert asked_with(provider.token("first", **claims)) == REFUSED
        owner.run_script("UPDATE users SET deleted_at = now() WHERE email = 'Admin@owls.example'")
        assert asked_with(provider.token("first", **claims))[0] == 200


def _odd(provider, claims):
    body = json.dumps({"iss": ISSUER, "aud": AUDIENCE, "exp": now() + 60, "sub": 5} | claims).encode()
    return jwt.PyJWS().encode(body, provider.private["first"], algorithm="RS256", headers={"kid": "first"})


class TestPublishedKeys:
    """The key set, with its own clock."""

    @pytest.fixture
    def clock(self):
        class Clock:
            now = 1_000_000.0

            def __call__(self):
                return self.now

        return Clock()

    @pytest.fixture
    def keys(self, provider, clock):
        return KeySet(provider.url, clock=clock)

    def test_a_withdrawn_key_is_over_with_the_set(self, provider, keys, clock):
        assert keys.find("first", "RS256")
        provider.withdraw("first")
        provider.add("second")
        # Constant use must not extend its lifetime.
        for _ in range(9):
            clock.now += jwks.REFRESH_S / 10
            assert keys.find("first", "RS256")
        clock.now += jwks.REFRESH_S / 10
        assert keys.find("first", "RS256") is None
        assert keys.find("second", "RS256")

    def test_a_withdrawn_key_is_over_though_the_provider_is_down(self, provider, keys, clock):
        assert keys.find("first", "RS256")
        provider.answer = (503, {}, b"")
        clock.now += jwks.LIFETIME_S - 1
        assert keys.find("first", "RS256")
        clock.now += 1
        with pytest.raises(Unavailable):
            keys.find("first", "RS256")

    def test_a_new_key_is_found_at_once_and_a_flood_of_unknown_ones_asks_once(self, provider, keys, clock):
        assert keys.find("first", "RS256")
        clock.now += jwks.PAUSE_S + 1
        provider.add("second")
        assert keys.find("second", "RS256")
        assert provider.asked == 2
        for number in range(100):
            assert keys.find(f"unknown-{number}", "RS256") is None
        assert provider.asked == 2
        clock.now += jwks.PAUSE_S + 1
        for number in range(100):
            assert keys.find(f"unknown-{number}", "RS256") is None
        assert provider.asked == 3

    def test_a_provider_that_is_down_is_not_asked_by_every_caller(self, provider, keys, clock):
        provider.answer = (500, {}, b"")
        for _ in range(10):
            with pytest.raises(Unavailable):
                keys.find("first", "RS256")
        assert provider.asked == 1
        provider.answer = None
        clock.now += jwks.RETRY_S + 1
        assert keys.find("first", "RS256")

    def test_a_clock_that_is_set_back_keeps_nothing(self, provider, keys, clock):
        assert keys.find("first", "RS256")
        provider.withdraw("first")
        provider.add("second")
        clock.now -= 999_999
        assert keys.find("first", "RS256") is None

    def test_one_odd_key_is_not_the_others_trouble(self, provider, admin):
        provider.keys = [
            None,
            "key",
            5,
            [],
            {},
            {"kid": "first"},
            {"kid": 5, "kty": "RSA"},
            {"kid": "first", "kty": "RSA"},
            {"kid": "first", "kty": "RSA", "n": "!", "e": "AQAB"},
            {"kid": "first", "kty": "RSA", "n": 5, "e": []},
            {"kid": "first", "kty": ["RSA"], "use": {}},
            {"kid": "first", "kty": "EC", "crv": "P-999", "x": "", "y": ""},
            {"kid": "first", "kty": "AKP", "alg": "ML-DSA-44"},
            *provider.keys,
        ]
        assert asked_with(provider.token("first", sub=admin))[0] == 200

    def test_what_is_no_set_of_keys_is_not_the_callers_fault(self, provider, admin):
        down = error(503, "The identity provider cannot be reached. Try again in a moment.")
        for provider.answer in [
            (404, {}, b"{}"),
            (500, {}, b"oops"),
            (302, {"Location": "/elsewhere"}, b""),
            (200, {}, b"<html>"),
            (200, {}, b""),
            (200, {}, b"{}"),
            (200, {}, b"[]"),
            (200, {}, b'{"keys": 5}'),
            (200, {}, b'{"keys": []}'),
            (200, {}, b'{"keys": [5]}'),
            (200, {}, b"[" * 100_000),
            (200, {}, b"\xff\xfe"),
            (200, {}, b" " * (jwks.MOST_BYTES + 1) + b'{"keys": []}'),
            (200, {"Content-Encoding": "gzip"}, b"no gzip"),
        ]:
            jwks.key_set.cache_clear()
            provider.asked = 0
            assert asked_with(provider.token("first", sub=admin)) == down, provider.answer
            assert provider.asked == 1

    def test_nor_is_a_provider_that_is_not_there(self, configure, provider, admin):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            configure(JWKS_URL=f"http://127.0.0.1:{probe.getsockname()[1]}/jwks")
        assert asked_with(provider.token("first", sub=admin))[0] == 503

    def test_nor_is_one_that_never_stops(self, provider, admin, monkeypatch):
        monkeypatch.setattr(jwks, "WHOLE_TIMEOUT_S", 0.2)
        provider.drips = True
        assert asked_with(provider.token("first", sub=admin))[0] == 503

    def test_the_doctor_reads_the_keys(self, provider, db):
        def told():
            checks = doctor.examine(db=db, settings=Settings.from_environment())["checks"]
            [check] = [each for each in checks if each["name"] == "users' tokens"]
            return check["ok"], check["says"]

        assert told() == (
            True,
            f"usable keys at {provider.url}: 1, for the issuer {ISSUER}; users are identified by sub",
        )
        provider.keys[0]["use"] = "enc"
        assert told() == (False, f"no usable key at {provider.url} (keys there: 1)")
        provider.answer = (404, {}, b"")
        assert told() == (False, f"{provider.url} answered 404")
