"""Client of the HTTP API. It checks the shape of each response, and turns each error into a sentence."""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlencode
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, NewConnectionError, SSLError
from urllib3.util import make_headers, parse_url

from nightshift import __version__
from nightshift.base.wording import one_line
from nightshift_cli.base import exact
from nightshift_cli.base.failures import Misconfigured, NotSignedIn, RequestRefused, Throttled, Unreachable
from nightshift_cli.base.text import clean
from nightshift_cli.remote.config import Config
from nightshift_cli.remote.stackfile import LOOPBACK
from nightshift_cli.remote.troubles import trouble_with

# An HTTP API on AWS waits at most 30 seconds for its function.
TIMEOUT = urllib3.Timeout(connect=5, read=31)
ATTEMPTS = 3
FIRST_DELAY_S = 0.5
# The longest wait before a retry. If a response asks for a longer one, its error is shown instead.
LONGEST_DELAY_S = 10
# No attempt starts after this time. So a person waits at most for two attempts that hang: a minute.
LAST_ATTEMPT_S = 40
# A longer list of projects or members is cut: its cursors must be wrong.
MOST_PAGES = 200
# The API's own limit for ids in one request.
MOST_IDS = 100
# Another attempt would fail the same way.
HOPELESS = (NewConnectionError, SSLError, LocationValueError, UnicodeError)
# Longer messages are cut: people would not read them.
LONGEST = 2000
# A Lambda function returns at most 6 MB.
MOST_BYTES = 32 * 1024 * 1024


class Api:
    """Client of one API.

    ``sleep`` receives the seconds between attempts, ``notice`` a sentence before each retry, ``heard`` the ``Date``
    header of each response. ``view`` is the command that shows a run.
    """

    view = ("jobs", "view")

    def __init__(
        self,
        config: Config,
        *,
        sleep: Callable[[float], None] = time.sleep,
        notice: Callable[[str], None] = lambda sentence: None,
        clock: Callable[[], float] = time.monotonic,
        heard: Callable[[str | None], None] = lambda date: None,
    ):
        self.url = config.api_url
        self._sleep = sleep
        self._notice = notice
        self._clock = clock
        self._heard = heard
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"nightshift/{__version__}",
        }
        if config.token:
            self._headers["Authorization"] = f"Bearer {config.token}"
        self._pool = _pool_to(self.url)

    def close(self) -> None:
        self._pool.clear()

    def whoami(self) -> dict[str, Any]:
        return self.call("GET", "/v1/auth/whoami", type=str)

    def ping(self) -> dict[str, Any]:
        """Return ``status`` and ``version``. The request is not repeated; the API does not check the token."""
        return self.call("GET", "/v1/health", attempts=1, status=str)

    def openapi(self) -> dict[str, Any]:
        return self.call("GET", "/v1/openapi.json", openapi=str)

    def projects(self, team_id: str, *, search: str | None = None) -> list[dict[str, Any]]:
        """Return the team's projects, or those whose name or slug contains ``search``. Older APIs return all."""
        wanted = {"team_id": team_id} | ({"q": search} if search else {})

        def page(cursor: dict[str, str]) -> dict[str, Any]:
            return self.call("GET", "/v1/projects?" + urlencode(wanted | cursor), projects=list)

        projects: list[dict[str, Any]] = _every(page, "projects")["projects"]
        return projects

    def some_projects(self, team_id: str, *, search: str) -> list[dict[str, Any]]:
        """Return the first of the projects whose name or slug contains ``search``. Older APIs return others too."""
        wanted = {"team_id": team_id} | ({"q": search} if search else {})
        found: list[dict[str, Any]] = self.call("GET", "/v1/projects?" + urlencode(wanted), attempts=1, projects=list)[
            "projects"
        ]
        return found

    def projects_by_id(self, team_id: str, project_ids: Sequence[str], *, attempts: int) -> list[dict[str, Any]]:
        """Return those of these projects that exist. Older APIs return others too."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(project_ids), MOST_IDS):
            wanted = {"team_id": team_id, "ids": ",".join(project_ids[start : start + MOST_IDS])}
            path = "/v1/projects?" + urlencode(wanted, safe=",")
            found += self.call("GET", path, attempts=attempts, projects=list)["projects"]
        return found

    def project(self, project_id: str) -> dict[str, Any]:
        """Return the project with its ``apps``."""
        return self.call("GET", f"/v1/projects/{_part(project_id)}", id=str, apps=list)

    def members(self, team_id: str, *, attempts: int = ATTEMPTS) -> dict[str, Any]:
        """Return ``members`` and ``api_keys``."""

        def page(cursor: dict[str, str]) -> dict[str, Any]:
            path = f"/v1/teams/{_part(team_id)}/members" + (f"?{urlencode(cursor)}" if cursor else "")
            return self.call("GET", path, attempts=attempts, members=list, api_keys=list)

        return _every(page, "members", "api_keys")

    def audit(self, team_id: str, **page: str | int | None) -> dict[str, Any]:
        """Return one page of the audit: ``entries``, ``cursor``, ``has_more``."""
        query = urlencode({name: value for name, value in page.items() if value is not None})
        return self.call("GET", f"/v1/teams/{_part(team_id)}/audit?{query}", entries=list, has_more=bool)

    def integrations(self, project_id: str) -> dict[str, Any]:
        """Return ``integrations`` and ``providers``."""
        return self.call("GET", _integrations(project_id), integrations=list, providers=list)

    def add_integration(self, project_id: str, provider: str, config: dict[str, Any]) -> dict[str, Any]:
        body = {"provider": provider, "config": config}
        return self.call("POST", _integrations(project_id), body=body, attempts=1, id=str)

    def change_integration(self, project_id: str, provider: str, change: dict[str, Any]) -> dict[str, Any]:
        return self.call("PATCH", _integrations(project_id, provider), body=change, attempts=1, id=str)

    def delete_integration(self, project_id: str, provider: str) -> dict[str, Any]:
        return self.call("DELETE", _integrations(project_id, provider), attempts=1, deleted=bool)

    def job_types(self) -> list[dict[str, Any]]:
        job_types: list[dict[str, Any]] = self.call("GET", "/v1/job-types", job_types=list)["job_types"]
        return job_types

    def runs(self, team_id: str, **filters: str | int | None) -> dict[str, Any]:
        """Return one page: ``job_runs``, ``cursor``, ``has_more``."""
        query = urlencode({name: value for name, value in filters.items() if value is not None})
        return self.call("GET", f"/v1/teams/{_part(team_id)}/jobs?{query}", job_runs=list, has_more=bool)

    def newest_runs(self, team_id: str, *, limit: int) -> list[dict[str, Any]]:
        path = f"/v1/teams/{_part(team_id)}/jobs?limit={limit}"
        found: list[dict[str, Any]] = self.call("GET", path, attempts=1, job_runs=list)["job_runs"]
        return found

    def run(self, run_id: str, *, attempts: int = ATTEMPTS) -> dict[str, Any]:
        return _run_of(self.call("GET", f"/v1/jobs/{_part(run_id)}", attempts=attempts, job_run=dict))

    def timeline(self, run_id: str, *, attempts: int = ATTEMPTS) -> dict[str, Any]:
        """Return ``timeline``, ``state``, ``why`` and ``since``."""
        return self.call("GET", f"/v1/jobs/{_part(run_id)}/timeline", attempts=attempts, timeline=list)

    def logs(self, run_id: str, *, attempts: int = ATTEMPTS, **wanted: str | int | None) -> dict[str, Any]:
        """Return one page of the run's log: ``log_lines``, ``cursor``, ``has_more``, ``status`` and more."""
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        path = f"/v1/jobs/{_part(run_id)}/logs?{query}"
        return self.call("GET", path, attempts=attempts, log_lines=list, cursor=int, has_more=bool, status=str)

    def trigger(self, team_id: str, request: dict[str, Any], *, idempotency_key: str) -> dict[str, Any]:
        path = f"/v1/teams/{_part(team_id)}/jobs/trigger"
        return self._new_run(path, request, idempotency_key=idempotency_key)

    def cancel(self, run_id: str) -> dict[str, Any]:
        return self.call("POST", f"/v1/jobs/{_part(run_id)}/cancel", attempts=1, cancelled=bool)

    def rerun(
        self, run_id: str, *, start: str, params: dict[str, Any] | None = None, idempotency_key: str
    ) -> dict[str, Any]:
        """Run an ended run again, with its own parameters or with these."""
        request = {"from": start} | ({} if params is None else {"params": params})
        return self._new_run(f"/v1/jobs/{_part(run_id)}/rerun", request, idempotency_key=idempotency_key)

    def _new_run(self, path: str, request: dict[str, Any], *, idempotency_key: str) -> dict[str, Any]:
        # The key makes the request safe to repeat: the API returns the run that the first request created.
        headers = {"Idempotency-Key": idempotency_key}
        return _run_of(self.call("POST", path, body=request, headers=headers, job_run=dict))

    def call(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        attempts: int = ATTEMPTS,
        **shape: type,
    ) -> dict[str, Any]:
        """Return the response, an object that has the keys of ``shape`` with values of these types.

        Raise RequestRefused, or Unreachable if the last of ``attempts`` failed.
        """
        attempt, begun = 0, self._clock()
        while True:
            attempt += 1
            is_last = attempt == attempts
            delay_s = FIRST_DELAY_S * 2 ** (attempt - 1)
            try:
                status, content, data, asked_s = self._request(method, path, body, headers or {})
            except (HTTPError, UnicodeError) as exc:
                trouble = trouble_with(self.url, exc)
                is_late = self._clock() - begun > LAST_ATTEMPT_S
                if is_last or is_late or isinstance(exc, HOPELESS):
                    raise Unreachable(trouble) from exc
            else:
                delay_s = max(delay_s, asked_s)
                if is_last or not (status == 429 or status >= 500) or delay_s > LONGEST_DELAY_S:
                    return self._read(status, content, data, shape)
                trouble = f"{self.url} responded with status {status}."
            self._notice(f"{trouble} Trying again ({attempt + 1} of {attempts}).")
            self._sleep(delay_s)

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> tuple[int, str, bytes, int]:
        """Return status, content type, body, and the seconds that the response asks callers to wait.

        Raise Unreachable if the body is too large or takes too long.
        """
        data = None if body is None else exact.write(body, ascii_only=True).encode()
        if data is not None:
            headers = headers | {"Content-Type": "application/json"}
        begun, read = self._clock(), bytearray()
        response = self._pool.request(
            method, self.url + path, body=data, headers=self._headers | headers, preload_content=False
        )
        try:
            # Read data as it arrives, not in full blocks: a server that trickles bytes must still time out.
            while part := response.read1(65536):
                read += part
                if len(read) > MOST_BYTES:
                    raise Unreachable(f"{self.url} sent more than {MOST_BYTES // 1024**2} MB. Check the URL.")
                if self._clock() - begun > LAST_ATTEMPT_S:
                    raise Unreachable(f"{self.url} did not finish its response within {LAST_ATTEMPT_S} seconds.")
        except BaseException:
            response.close()
            raise
        response.release_conn()
        self._heard(response.headers.get("Date"))
        kind = response.headers.get("Content-Type", "nothing")
        return response.status, kind, bytes(read), _retry_after_s(response)

    def _read(self, status: int, content: str, data: bytes, shape: dict[str, type]) -> dict[str, Any]:
        try:
            answer = exact.read(data)
        except ValueError as exc:
            deep = f": {exc}" if data[:1] in (b"{", b"[") else ""
            raise Unreachable(
                f"{self.url} responded with status {status} and {content} instead of JSON{deep}. Check the URL."
            ) from None
        if not isinstance(answer, dict):
            raise Unreachable(
                f"{self.url} responded with status {status} and JSON that is not an object. Check the URL."
            )
        # A gateway in front of the API uses ``message`` instead of ``error``.
        said = one_line(clean(answer.get("error") or answer.get("message")), longest=LONGEST) or "no reason given"
        if 400 <= status < 500:
            raise {401: NotSignedIn, 429: Throttled}.get(status, RequestRefused)(said, body=answer)
        if status >= 300:
            request = f" (request {clean(answer['request_id'])})" if answer.get("request_id") else ""
            raise Unreachable(f"{self.url} responded with status {status}: {said}{request}", body={"status": status})
        for key, kind in shape.items():
            value = answer.get(key)
            items = value if isinstance(value, list) else []
            if not isinstance(value, kind) or not all(isinstance(item, dict) for item in items):
                raise Unreachable(
                    f"{self.url} sent a response without a valid {key!r}. Check that the URL is a Nightshift API."
                )
        return answer


def _pool_to(url: str) -> urllib3.PoolManager:
    """Return a pool of connections, through the environment's proxy like AWS's own clients."""
    # ``retries=False`` also disables redirects, which would send the token to a host of the server's choice.
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
        # The URL may hold a password, so the message does not repeat it.
        variable = f"{target.scheme}_proxy".upper()
        raise Misconfigured(f"{variable} must be the http:// or https:// URL of a proxy.") from None


def _retry_after_s(response: urllib3.BaseHTTPResponse) -> int:
    """Return the seconds that the response asks callers to wait, or 0."""
    asked = response.headers.get("Retry-After", "")
    return int(asked) if re.fullmatch(r"[0-9]{1,9}", asked) else 0


def _every(page: Callable[[dict[str, str]], dict[str, Any]], *names: str) -> dict[str, Any]:
    """Return the last page, with the lists called ``names`` joined from all pages. Older APIs return one page."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    cursor: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        answer = page(cursor)
        for name in names:
            found[name] += answer[name]
        after = answer.get("cursor")
        if not answer.get("has_more") or not isinstance(after, str) or after == cursor.get("cursor"):
            break
        cursor = {"cursor": after}
    return answer | found


def _integrations(*ids: str) -> str:
    project_id, *provider = map(_part, ids)
    return "/".join(["/v1/projects", project_id, "integrations", *provider])


def _part(text: str) -> str:
    return quote(text, safe="")


def _run_of(answer: dict[str, Any]) -> dict[str, Any]:
    run: dict[str, Any] = answer["job_run"]
    if not isinstance(run.get("id"), str) or not isinstance(run.get("status"), str):
        raise Unreachable("The 'job_run' in the response has no id and status. Check that the URL is a Nightshift API.")
    return run
