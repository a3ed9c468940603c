"""Signing in to the database: a token of the function's role, over a verified connection."""

import dataclasses
import ipaddress
import json
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nightshift.aws import sigv4
from nightshift.base.errors import ConfigurationError, DatabaseGone, SignInRefused
from nightshift.base.settings import Settings
from nightshift.database import signin
from nightshift.database.queries import Database

BUNDLE = Path(signin.__file__).parent / "rds.pem"


@pytest.fixture
def keys(monkeypatch):
    """Set credentials as Lambda gives them to a function."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def stopped_clock(monkeypatch):
    """Stop the clock, because a token is signed for the second in which it is created."""
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: datetime(2026, 11, 23, 3, tzinfo=UTC))


def test_a_token_is_what_botocore_makes(keys, stopped_clock):
    config = Settings(database_host="db.example.com", database_user="nightshift_api", database_auth="iam")
    official = (
        boto3.Session()
        .client("rds")
        .generate_db_auth_token(
            DBHostname="db.example.com", Port=5432, DBUsername="nightshift_api", Region="eu-central-1"
        )
    )
    assert [*signin.passwords_for(config)] == [official]
    assert "X-Amz-Expires=900" in official


def test_every_connection_gets_a_token_of_its_own_user_and_host(keys, stopped_clock):
    config = Settings(database_host="db.example.com", database_user="nightshift_api", database_auth="iam")
    [token] = signin.passwords_for(config)
    assert token.startswith("db.example.com:5432/?Action=connect&DBUser=nightshift_api&")
    other = Database(config).sibling(user="nightshift_maintenance", host="direct.example.com", port=6432)
    [token] = signin.passwords_for(other._config)
    assert token.startswith("direct.example.com:6432/?Action=connect&DBUser=nightshift_maintenance&")


def test_the_owners_password_comes_from_its_secret(cloud):
    boto3.client("secretsmanager").create_secret(
        Name="rds!db-owner", SecretString='{"username": "postgres", "password": "hunter2"}'
    )
    config = dataclasses.replace(cloud, database_auth="either", database_secret_id="rds!db-owner")
    password, token = signin.passwords_for(config)
    assert password == "hunter2"
    assert token.startswith(f"127.0.0.1:{config.database_port}/?Action=connect")


def test_each_role_signs_in_with_the_password_in_its_own_secret(cloud):
    for role in ("nightshift_api", "nightshift_maintenance"):
        content = f'{{"username": "{role}", "password": "{role} pass"}}'
        boto3.client("secretsmanager").create_secret(Name=f"here/{role}", SecretString=content)
    config = dataclasses.replace(
        cloud, database_user="nightshift_api", database_auth="secret", database_role_secrets="here/"
    )
    assert [*signin.passwords_for(config)] == ["nightshift_api pass"]
    other = Database(config).sibling(user="nightshift_maintenance")
    assert [*signin.passwords_for(other._config)] == ["nightshift_maintenance pass"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("hunter2", "must be JSON"),
        ('{"pass": "hunter2"}', "must be JSON"),
        ('["hunter2"]', "must be JSON"),
        (None, "cannot be read from the secret here: .*ResourceNotFound"),
    ],
)
def test_a_secret_without_a_password_is_named_and_not_shown(cloud, content, words):
    if content:
        boto3.client("secretsmanager").create_secret(Name="here", SecretString=content)
    config = dataclasses.replace(cloud, database_auth="secret", database_secret_id="here")
    with pytest.raises(ConfigurationError, match=words) as caught:
        next(signin.passwords_for(config))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None or content is None


def test_without_secrets_manager_the_database_is_out_of_reach(cloud, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(DatabaseGone, match="The password cannot be read from the secret here: "):
        next(signin.passwords_for(dataclasses.replace(cloud, database_auth="secret", database_secret_id="here")))


class Certificate:
    """The test's own root certificate, and a server certificate that it has signed."""

    def __init__(self, folder: Path, *, address: str):
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = _certificate("Root", key=root_key, issuer="Root", signer=root_key, address=None)
        leaf = _certificate("Server", key=key, issuer="Root", signer=root_key, address=address)
        self.root_file, self.chain_file = folder / "root.pem", folder / "server.pem"
        self.root_file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        self.chain_file.write_bytes(
            leaf.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def _certificate(name, *, key, issuer, signer, address):
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(_key_usage(is_root=address is None), critical=True)
    )
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _key_usage(*, is_root):
    unused = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=is_root, crl_sign=is_root, decipher_only=False,
        **dict.fromkeys(unused, False),
    )  # fmt: skip


@pytest.fixture
def tls_server(config, tmp_path):
    """``tls_server(address)``: TLS in front of the real Postgres, whose own build has none.

    Returns the port and the file with the root certificate that signed for ``address``.
    """
    listeners, threads = [], []

    def serve(address, *, times=1):
        certificate = Certificate(tmp_path, address=address)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain_file)
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threads.append(threading.Thread(target=_serve, args=(listener, context, config.database_port, times)))
        threads[-1].start()
        return listener.getsockname()[1], certificate.root_file

    yield serve
    for listener in listeners:
        listener.close()
    for thread in threads:
        thread.join()


def _serve(listener, context, postgres_port, times):
    for _ in range(times):
        _serve_once(listener, context, postgres_port)


def _serve_once(listener, context, postgres_port):
    with suppress(OSError), listener.accept()[0] as client:
        # https://www.postgresql.org/docs/16/protocol-flow.html#PROTOCOL-FLOW-SSL
        assert client.recv(8) == bytes.fromhex("0000000804d2162f")
        client.sendall(b"S")
        with (
            context.wrap_socket(client, server_side=True) as secured,
            socket.create_connection(("127.0.0.1", postgres_port)) as postgres,
        ):
            back = threading.Thread(target=_pump, args=(postgres, secured))
            back.start()
            _pump(secured, postgres)
            back.join()


def _pump(source, target):
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def token_user(superuser, postgres):
    """Create a role that must send the real server a password, as RDS requires for a token."""
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all token_user 127.0.0.1/32 password\n" + before)
    superuser.run_script("CREATE ROLE token_user LOGIN; SELECT pg_reload_conf()")
    yield "token_user"
    rules.write_text(before)
    superuser.run_script("DROP ROLE token_user; SELECT pg_reload_conf()")


def test_a_token_signs_in_over_a_verified_connection(config, keys, stopped_clock, token_user, tls_server, superuser):
    port, root = tls_server("127.0.0.1")
    config = dataclasses.replace(
        config, database_port=port, database_user=token_user, database_auth="iam", database_ca_file=str(root)
    )
    superuser.run_script(f"ALTER ROLE {token_user} PASSWORD '{next(signin.passwords_for(config))}'")
    db = Database(config)
    assert db.run_script("SELECT current_user::text") == [[token_user]]
    db.close()


def test_an_owner_whose_password_has_ended_signs_in_with_a_token(
    cloud, stopped_clock, token_user, tls_server, superuser
):
    boto3.client("secretsmanager").create_secret(Name="owner", SecretString='{"password": "of old"}')
    port, root = tls_server("127.0.0.1", times=2)
    config = dataclasses.replace(
        cloud, database_port=port, database_user=token_user, database_auth="either", database_secret_id="owner",
        database_ca_file=str(root),
    )  # fmt: skip
    _, token = signin.passwords_for(config)
    superuser.run_script(f"ALTER ROLE {token_user} PASSWORD '{token}'")
    db = Database(config)
    assert db.run_script("SELECT current_user::text") == [[token_user]]
    db.close()


@pytest.mark.parametrize(
    ("statement", "kept", "reasons"),
    [
        (
            "NOLOGIN PASSWORD 'hunter2'",
            "hunter2",
            'role "token_user" is not permitted to log in; password authentication failed for user "token_user"',
        ),
        ("PASSWORD 'another'", "hunter2", 'password authentication failed for user "token_user"'),
    ],
)
def test_of_two_passwords_both_are_told_why_they_were_refused(cloud, token_user, superuser, statement, kept, reasons):
    boto3.client("secretsmanager").create_secret(Name="kept", SecretString=json.dumps({"password": kept}))
    superuser.run_script(f"ALTER ROLE {token_user} {statement}")
    config = dataclasses.replace(cloud, database_user=token_user, database_auth="either", database_secret_id="kept")
    with pytest.raises(SignInRefused) as refused:
        Database(config).query("ping")
    assert str(refused.value) == (
        f"The database at 127.0.0.1:{config.database_port} does not let token_user sign in: {reasons}. "
        "Check that the role exists, that it may log in, and that the secret holds its password."
    )


def test_a_server_behind_another_name_is_verified_by_its_own(
    config, keys, stopped_clock, token_user, tls_server, superuser
):
    """For example, behind a CNAME: the certificate and the token are for the name that RDS gave the server."""
    port, root = tls_server("127.0.0.9", times=2)
    config = dataclasses.replace(
        config, database_port=port, database_user=token_user, database_auth="iam", database_ca_file=str(root),
        database_server_name="127.0.0.9",
    )  # fmt: skip
    token = next(signin.passwords_for(config))
    assert token.startswith(f"127.0.0.9:{port}/?")
    superuser.run_script(f"ALTER ROLE {token_user} PASSWORD '{token}'")
    db = Database(config)
    assert db.run_script("SELECT current_user::text") == [[token_user]]
    db.close()
    # A pooler's name is not that of the server behind it, which has its own.
    direct = db.sibling(host="127.0.0.1", port=port)
    with pytest.raises(DatabaseGone, match="certificate verify failed"):
        direct.connect()


@pytest.mark.parametrize("trouble", ["another root", "another address"])
def test_a_server_that_cannot_prove_who_it_is_gets_no_token(config, keys, tls_server, trouble):
    port, root = tls_server("127.0.0.1" if trouble == "another root" else "127.0.0.9")
    trusted = BUNDLE if trouble == "another root" else root
    db = Database(dataclasses.replace(config, database_port=port, database_auth="iam", database_ca_file=str(trusted)))
    with pytest.raises(DatabaseGone, match="certificate verify failed"):
        db.query("ping")


def test_a_server_without_tls_gets_no_token(config, keys):
    db = Database(dataclasses.replace(config, database_auth="iam", database_ca_file=str(BUNDLE)))
    with pytest.raises(DatabaseGone, match="refuses SSL"):
        db.query("ping")


def test_the_bundle_holds_the_roots_of_rds_and_of_its_proxy_for_years():
    roots = ssl.create_default_context(cafile=BUNDLE).get_ca_certs()
    names = {value for root in roots for ((key, value),) in root["subject"] if key == "commonName"}
    assert {"Amazon RDS us-east-1 Root CA RSA2048 G1", "Amazon RDS eu-central-1 Root CA RSA2048 G1"} <= names
    assert "Amazon Root CA 1" in names
    for root in roots:
        assert root["issuer"] == root["subject"], root["subject"]
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(root["notAfter"]), UTC)
        assert until > datetime.now(UTC) + timedelta(days=3 * 365), root["subject"]


def test_credentials_of_the_environment_come_with_their_session(keys):
    assert sigv4.credentials() == ("AKIAEXAMPLE", "secret", "session")
