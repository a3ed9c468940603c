"""SES v2's SendEmail over HTTP, as botocore uses it. It accepts mails or answers with SES's errors."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support import http_server


class Ses:
    """``mails`` are the accepted requests. While ``refusal`` is set (status, code, message), none is accepted.

    ``asked`` counts all requests. While ``hangs_up`` is set, mails are accepted and the connection is cut without an
    answer.
    """

    def __init__(self) -> None:
        self.mails: list[dict[str, Any]] = []
        self.asked = 0
        self.hangs_up = False
        self.refusal: tuple[int, str, str] | None = None
        self.url = ""
        self.held: dict[int, threading.Event] = {}

    def answer(self, path: str, request: dict[str, Any]) -> tuple[int, str, dict[str, str]]:
        self.asked += 1
        assert path == "/v2/email/outbound-emails"
        if self.refusal:
            status, code, message = self.refusal
            return status, code, {"message": message}
        self.mails.append(request)
        number = len(self.mails)
        if number in self.held:
            assert self.held[number].wait(10)
        return 200, "", {"MessageId": f"message-{number}"}

    def hold(self, number: int) -> threading.Event:
        """Delay the answer to this mail (1 is the first) until the event is set."""
        self.held[number] = threading.Event()
        return self.held[number]

    @property
    def recipients(self) -> list[str]:
        return [address for mail in self.mails for address in mail["Destination"]["ToAddresses"]]

    @property
    def subjects(self) -> list[str]:
        return [mail["Content"]["Simple"]["Subject"]["Data"] for mail in self.mails]


@contextmanager
def serve() -> Iterator[Ses]:
    ses = Ses()

    def answer(request: http_server.Request) -> http_server.Reply | None:
        status, code, content = ses.answer(request.path, json.loads(request.body))
        # The protocol rest-json sends an error's name in a header.
        headers = {"x-amzn-ErrorType": code} if code else {}
        return None if ses.hangs_up else http_server.Reply(status, json.dumps(content).encode(), headers)

    with http_server.serve(answer) as ses.url:
        yield ses
