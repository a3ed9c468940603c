"""Makes calls over HTTP in threads, which do nothing else: one thread decides, and hears of each answer here."""

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import urllib3

from nightshift_jobs.revenuecat_sync.revenuecat.answers import LATE, Answer
from nightshift_jobs.revenuecat_sync.revenuecat.governor import MOST

CONNECT_TIMEOUT_S = 5
# A customer with a hundred rows takes less than a hundred kilobytes.
LONGEST_BODY = 16 * 2**20


class Calls(Protocol):
    """Calls in flight. ``number`` is the caller's own name for a call."""

    def send(self, number: int, url: str, *, timeout_s: float) -> None:
        """Start a call. Its answer comes from ``next`` within ``timeout_s``."""

    def next(self, wait_s: float) -> tuple[int, Answer] | None:
        """Wait for the next answer, at most ``wait_s``. Return its number and the answer, or None."""

    def close(self) -> None:
        """Make no further calls, and forget those in flight."""


CallsOf = Callable[[str], Calls]


class HttpCalls:
    """Calls with a secret key, up to MOST side by side."""

    def __init__(self, key: str):
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json", "User-Agent": "nightshift"}
        self._http = urllib3.PoolManager(maxsize=MOST, headers=headers, retries=False)
        self._threads = ThreadPoolExecutor(MOST, thread_name_prefix="revenuecat")
        self._answers: queue.SimpleQueue[tuple[int, Answer]] = queue.SimpleQueue()

    def send(self, number: int, url: str, *, timeout_s: float) -> None:
        ends_at = time.monotonic() + timeout_s
        self._threads.submit(lambda: self._answers.put((number, self._call(url, ends_at))))

    def next(self, wait_s: float) -> tuple[int, Answer] | None:
        try:
            return self._answers.get(timeout=max(0.0, wait_s)) if wait_s > 0 else self._answers.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        # A thread ends with its call, at the latest when the call's time is over.
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.clear()

    def _call(self, url: str, ends_at: float) -> Answer:
        try:
            left_s = max(0.1, ends_at - time.monotonic())
            timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT_S, left_s), read=left_s)
            answer = self._http.request("GET", url, timeout=timeout, redirect=False, preload_content=False)
            data = _read(answer, ends_at)
            if data is None:
                return Answer(0, failure=LATE)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, headers, data, answer.reason or "")
        except urllib3.exceptions.TimeoutError:
            return Answer(0, failure=LATE)
        except Exception:
            # Any exception here must become an answer: the deciding thread waits for one. Its text would name the URL.
            return Answer(0, failure="the connection failed")


def _read(answer: urllib3.BaseHTTPResponse, ends_at: float) -> bytes | None:
    """Return the whole body, or None. The read timeout only applies between two packets, so look at the time, too."""
    content = bytearray()
    while chunk := answer.read1(65_536):
        content += chunk
        if time.monotonic() > ends_at or len(content) > LONGEST_BODY:
            answer.close()
            return None
    answer.release_conn()
    return bytes(content)
