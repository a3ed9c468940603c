"""Sign-ins: a person enters a code that was mailed to them, or opens a link of the operator, and gets a session."""

import json
import secrets
import uuid
from typing import NamedTuple

from nightshift.aws.queue import send_batches
from nightshift.base.errors import Refused, SetupRefused, TooMany, Unavailable
from nightshift.base.settings import Settings
from nightshift.database.queries import Database
from nightshift.tenants import audit, sessions, sign_in_codes
from nightshift.tenants.audit import Author
from nightshift.tenants.auth import key_hash
from nightshift.tenants.sessions import Client, Session

# A network gets this part of all codes of an hour: one alone must not use them up.
PART_OF_A_NETWORK = 4
# Sign-ins share one place in the fair queue, so that many of them do not delay the mails of teams.
GROUP = "sign-in"

WRONG_CODE = (
    "This code is wrong, or no longer valid. A code works once, within ten minutes and five tries, where it was asked "
    "for."
)
WRONG_LINK = (
    "This link is no longer valid. A link works once, within ten minutes. Ask the server's operator for a new one."
)


class SignedIn(NamedTuple):
    session: Session
    token: str


class Given(NamedTuple):
    """The request in which a person signs in. ``replaces`` is the token that the browser has had until now."""

    client: Client
    replaces: str | None
    request_id: str


def ask(email: str, *, replaces: str | None, client: Client, db: Database, settings: Settings) -> str:
    """Make a code for the address and let the notify function mail it. Return the text that the code is entered with.

    Known and unknown addresses take the same statement and the same message. ``replaces`` is the text of an earlier
    code, which ends. Raise TooMany if the network has used its share, and Unavailable if SQS does not take the message.
    """
    sign_in_id, browser_key = str(uuid.uuid4()), secrets.token_urlsafe(32)
    old_id, old_key = _parts(replaces) if replaces else (None, None)
    code = sign_in_codes.code_of(sign_in_id, settings=settings)
    [asked] = db.query(
        "ask_for_code",
        id=sign_in_id,
        secret_hash=sign_in_codes.hash_of(sign_in_id, code, settings=settings),
        browser_hash=key_hash(browser_key),
        address=email,
        source=client.source,
        browser=client.browser,
        replaced_id=old_id,
        replaced_hash=old_key and key_hash(old_key),
        at_most=max(1, settings.sign_in_codes_per_hour // PART_OF_A_NETWORK),
    )
    if not asked["is_made"]:
        raise TooMany(
            "Too many codes were asked for from this network within an hour. Try again later, or sign in with a token",
            retry_after_s=max(1, asked["wait_s"] or 1),
        )
    message = {"MessageBody": json.dumps({"sign_in_id": sign_in_id}), "MessageGroupId": GROUP}
    if send_batches(settings.notify_queue_url, [message]):
        raise Unavailable("The code cannot be sent at the moment. Try again in a moment.")
    return f"{sign_in_id}.{browser_key}"


def enter_code(sign_in: str, code: str, *, given: Given, db: Database, settings: Settings) -> SignedIn:
    """Start a session for the person to whom this code was mailed. Raise Refused for each code that does not fit."""
    sign_in_id, browser_key = _parts(sign_in)
    secret_hash = sign_in_codes.hash_of(sign_in_id, code, settings=settings)
    entered = _enter(sign_in_id, secret_hash, browser_hash=key_hash(browser_key), given=given, db=db)
    if entered is None:
        raise Refused(WRONG_CODE, field="code")
    return entered


def enter_link(link: str, *, given: Given, db: Database) -> SignedIn:
    """Start a session for the person of the operator's link. Raise Refused if the link was used or has expired."""
    link_id, secret = _parts(link, field="link")
    entered = _enter(link_id, key_hash(secret), browser_hash=None, given=given, db=db)
    if entered is None:
        raise Refused(WRONG_LINK, field="link")
    return entered


def make_link(email: str, *, author: Author, db: Database) -> str:
    """Make a link's secret text for the person with this address. Raise SetupRefused if no person, or two, have it."""
    link_id, secret = str(uuid.uuid4()), secrets.token_urlsafe(32)
    with db.transaction():
        made = db.one("insert_sign_in_link", id=link_id, secret_hash=key_hash(secret), email=email)
        if made is None:
            raise SetupRefused(
                f'No person, or more than one, has the address "{email}". To add a person to a team: '
                "nightshift system member"
            )
        audit.record(db, author, "sign_in_link.made", of=("user", made["user_id"]), team_id=None, email=email)
    return f"{link_id}.{secret}"


def _enter(
    sign_in_id: str, secret_hash: bytes, *, browser_hash: bytes | None, given: Given, db: Database
) -> SignedIn | None:
    """Enter the secret and start the session in one transaction. A try that does not fit is committed, too."""
    with db.transaction():
        row = db.one("enter_secret", id=sign_in_id, secret_hash=secret_hash, browser_hash=browser_hash)
        if row is None or row["user_id"] is None:
            return None
        started = sessions.start(
            str(row["user_id"]),
            by="link" if browser_hash is None else "code",
            client=given.client,
            replaces=given.replaces,
            request_id=given.request_id,
            db=db,
        )
    return SignedIn(*started) if started else None


def _parts(text: str, *, field: str = "sign_in") -> tuple[str, str]:
    """Return the id and the secret of ``<id>.<secret>``. Raise Refused without repeating it."""
    sign_in_id, _, secret = text.partition(".")
    try:
        return str(uuid.UUID(sign_in_id)), secret
    except ValueError:
        raise Refused(f"{field} is damaged. Copy the whole text", field=field) from None
