"""A request to the API: its caller and its values, parsed."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.common import BaseProxyEvent

from api import browsers
from api.parsing import MAX_LISTED, parse_body, parse_idempotency_key, parse_limit, parse_search
from api.signins import note_refused
from nightshift.base.errors import Refused, Unauthorized
from nightshift.base.settings import settings
from nightshift.base.validation import parse_text
from nightshift.database.queries import database
from nightshift.tenants.audit import Author
from nightshift.tenants.auth import Principal, authenticate
from nightshift.tenants.sessions import Client


class Request:
    """One request. Each method raises Refused for an invalid value, with the field's name and the value."""

    def __init__(self, event: BaseProxyEvent, *, request_id: str):
        self._event, self.request_id = event, request_id
        self.headers = {name.lower(): value for name, value in event.headers.items()}

    @property
    def path(self) -> str:
        return self._event.path

    def caller(self) -> Principal:
        """Return the authenticated caller. Raise Unauthorized for missing or invalid credentials.

        Raise Forbidden for a session's cookie in a request that the dashboard's page did not send.
        """
        authorization = self.headers.get("authorization")
        cookie = self.session_cookie() if authorization is None else None
        if cookie is not None:
            self.require_own_page()
        try:
            return authenticate(authorization, cookie=cookie, db=database(), settings=settings())
        except Unauthorized as exc:
            note_refused(authorization, exc)
            raise

    def session_cookie(self) -> str | None:
        return browsers.session_cookie(self._event.raw_event, self.headers)

    def require_own_page(self) -> None:
        """Raise Forbidden unless the dashboard's page sent the request."""
        origin = browsers.own_origin(self._event.raw_event, dashboard_url=settings().dashboard_url)
        browsers.require_own_page(self._event.http_method, self.headers, origin=origin)

    def client(self) -> Client:
        return browsers.client_of(self._event.raw_event, self.headers)

    def author(self, who: Principal) -> Author:
        """Return the caller as the audit names them."""
        return Author(actor=f"{who.kind}:{who.id}", request_id=self.request_id)

    def query(self, name: str) -> str | None:
        """Return the value of a query parameter. An empty value counts as not given."""
        value = self._event.query_string_parameters.get(name) or ""
        return parse_text(name, value) if value.strip() else None

    def search(self) -> str | None:
        return parse_search(self.query("q"))

    def limit(self) -> int:
        """Return the limit of a list whose length grows with the team."""
        return parse_limit(self.query("limit"), default=MAX_LISTED, most=MAX_LISTED)

    def body(self) -> dict[str, Any]:
        try:
            return parse_body(self._event.decoded_body)
        except ValueError:  # API Gateway encodes other content types in base64
            raise Refused("The body must be JSON in UTF-8") from None

    def secret_body(self) -> dict[str, Any]:
        """Return the body. A refusal does not repeat anything of it."""
        try:
            return self.body()
        except Refused:
            raise Refused(
                "The body must be a JSON object in UTF-8 that names each field once, without NUL characters or broken "
                "surrogate pairs"
            ) from None

    def idempotency_key(self) -> str | None:
        return parse_idempotency_key(self.headers.get("idempotency-key"))
