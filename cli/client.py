"""The HTTP API as calls: what comes back is checked for shape, what goes wrong is a sentence."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urlencode
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, ProxyError, SSLError, TimeoutError
from urllib3.util import make_headers, parse_url

from cli.config import Config
from cli.errors import Misconfigured, NotSignedIn, Refused, Throttled, Unreachable
from cli.stackfile import LOOPBACK

# An HTTP API on AWS gives up on its function after 30 seconds.
TIMEOUT = urllib3.Timeout(connect=5, read=31)
ATTEMPTS = 3
FIRST_DELAY_S = 0.5


class Api:
    """``sleep`` takes the seconds between attempts; ``view`` is the command that shows a run."""

    view = ("jobs", "view")

    def __init__(self, config: Config, *, sleep: Callable[[float], None] = time.sleep):
        self.url = config.api_url
        self._sleep = sleep
        self._headers = {"Accept": "application/json"}
        if config.token:
            self._headers["Authorization"] = f"Bearer {config.token}"
        self._pool = _pool_to(self.url)

    def close(self) -> None:
        self._pool.clear()

    def whoami(self) -> dict[str, Any]:
        return self._call("GET", "/v1/auth/whoami", type=str)

    def ping(self) -> dict[str, Any]:
        """``status`` and ``version``; asked once, and without a look at the token."""
        return self._call("GET", "/v1/health", attempts=1, status=str)

    def openapi(self) -> dict[str, Any]:
        return self._call("GET", "/v1/openapi.json", openapi=str)

    def projects(self, team_id: str, *, attempts: int = ATTEMPTS) -> list[dict[str, Any]]:
        path = "/v1/projects?" + urlencode({"team_id": team_id})
        projects: list[dict[str, Any]] = self._call("GET", path, attempts=attempts, projects=list)["projects"]
        return projects

    def project(self, project_id: str) -> dict[str, Any]:
        """With its ``apps``."""
        return self._call("GET", f"/v1/projects/{_part(project_id)}", id=str, apps=list)

    def members(self, team_id: str, *, attempts: int = ATTEMPTS) -> dict[str, Any]:
        """``members`` and ``api_keys``."""
        path = f"/v1/teams/{_part(team_id)}/members"
        return self._call("GET", path, attempts=attempts, members=list, api_keys=list)

    def job_types(self) -> list[dict[str, Any]]:
        job_types: list[dict[str, Any]] = self._call("GET", "/v1/job-types", job_types=list)["job_types"]
        return job_types

    def runs(self, team_id: str, **filters: str | int | None) -> dict[str, Any]:
        """One page: ``job_runs``, ``cursor``, ``has_more``."""
        query = urlencode({name: value for name, value in filters.items() if value is not None})
        return self._call("GET", f"/v1/teams/{_part(team_id)}/jobs?{query}", job_runs=list, has_more=bool)

    def run(self, run_id: str, *, attempts: int = ATTEMPTS) -> dict[str, Any]:
        return _run_of(self._call("GET", f"/v1/jobs/{_part(run_id)}", attempts=attempts, job_run=dict))

    def timeline(self, run_id: str, *, attempts: int = ATTEMPTS) -> dict[str, Any]:
        """``timeline``, ``state``, ``why``, ``since``."""
        return self._call("GET", f"/v1/jobs/{_part(run_id)}/timeline", attempts=attempts, timeline=list)

    def trigger(self, team_id: str, request: dict[str, Any], *, idempotency_key: str) -> dict[str, Any]:
        path = f"/v1/teams/{_part(team_id)}/jobs/trigger"
        return self._new_run(path, request, idempotency_key=idempotency_key)

    def cancel(self, run_id: str) -> dict[str, Any]:
        return self._call("POST", f"/v1/jobs/{_part(run_id)}/cancel", attempts=1, cancelled=bool)

    def rerun(self, run_id: str, *, start: str, idempotency_key: str) -> dict[str, Any]:
        return self._new_run(f"/v1/jobs/{_part(run_id)}/rerun", {"from": start}, idempotency_key=idempotency_key)

    def _new_run(self, path: str, request: dict[str, Any], *, idempotency_key: str) -> dict[str, Any]:
        # Under its key the request may be repeated: the API gives back the run that the first one made.
        headers = {"Idempotency-Key": idempotency_key}
        return _run_of(self._call("POST", path, body=request, headers=headers, job_run=dict))

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        attempts: int = ATTEMPTS,
        **shape: type,
    ) -> dict[str, Any]:
        """The answer, an object that holds the keys of ``shape`` with values of these types.

        Raises Refused, or Unreachable when ``attempts`` have brought nothing better.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._request(method, path, body, headers or {})
            except HTTPError as exc:
                if attempt == attempts or isinstance(exc, NewConnectionError | SSLError):
                    raise Unreachable(self._trouble(exc)) from exc
            else:
                if attempt == attempts or not (response.status == 429 or response.status >= 500):
                    return self._read(response, shape)
            self._sleep(FIRST_DELAY_S * 2 ** (attempt - 1))

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> urllib3.BaseHTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers = headers | {"Content-Type": "application/json"}
        return self._pool.request(method, self.url + path, body=data, headers=self._headers | headers)

    def _read(self, response: urllib3.BaseHTTPResponse, shape: dict[str, type]) -> dict[str, Any]:
        try:
            answer = json.loads(response.data)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            content = response.headers.get("Content-Type", "nothing")
            raise Unreachable(
                f"{self.url} answered {response.status} with {content} instead of JSON. Is the URL right?"
            )
        # A gateway in front of the API says ``message`` where the API says ``error``.
        sentence = answer.get("error") or answer.get("message") or "no reason given"
        if 400 <= response.status < 500:
            raise {401: NotSignedIn, 429: Throttled}.get(response.status, Refused)(str(sentence), body=answer)
        if response.status >= 300:
            request = f" (request {answer['request_id']})" if answer.get("request_id") else ""
            raise Unreachable(
                f"{self.url} answered {response.status}: {sentence}{request}", body={"status": response.status}
            )
        for key, kind in shape.items():
            value = answer.get(key)
            items = value if isinstance(value, list) else []
            if not isinstance(value, kind) or not all(isinstance(item, dict) for item in items):
                raise Unreachable(f"{self.url} answered without a proper {key!r}. Is it a Nightshift API?")
        return answer

    def _trouble(self, exc: HTTPError) -> str:
        match exc:
            case NameResolutionError():
                return f"Cannot reach {self.url}: its name cannot be resolved."
            case NewConnectionError():
                reason = getattr(exc.__cause__, "strerror", None) or "no connection"
                return f"Cannot reach {self.url}: {reason.lower()}."
            case TimeoutError():
                return f"{self.url} does not answer in time."
            case ProxyError():
                return f"The proxy that the environment names does not lead to {self.url}: {exc.original_error}"
            case SSLError():
                return f"Cannot trust {self.url}: {exc}"
            case _:
                return f"The connection to {self.url} broke: {exc}"


def _pool_to(url: str) -> urllib3.PoolManager:
    """By the proxy that the environment names for it, as AWS's own clients go."""
    # No retries is no redirects either: one would carry the token to wherever the answer says.
    options: dict[str, Any] = {"timeout": TIMEOUT, "retries": False}
    target = parse_url(url)
    proxy = getproxies().get(str(target.scheme))
    if not proxy or target.host in LOOPBACK or proxy_bypass(str(target.netloc)):
        return urllib3.PoolManager(**options)
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        credentials = parse_url(proxy).auth
        headers = make_headers(proxy_basic_auth=unquote(credentials)) if credentials else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
    except (HTTPError, UnicodeError):
        # It may hold a password, so it is not repeated.
        variable = f"{target.scheme}_proxy".upper()
        raise Misconfigured(f"{variable} is not the http:// or https:// URL of a proxy. Correct it.") from None


def _part(text: str) -> str:
    return quote(text, safe="")


def _run_of(answer: dict[str, Any]) -> dict[str, Any]:
    run: dict[str, Any] = answer["job_run"]
    if not isinstance(run.get("id"), str) or not isinstance(run.get("status"), str):
        raise Unreachable("The answer's 'job_run' has no id and status. Is it a Nightshift API?")
    return run
