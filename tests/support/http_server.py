"""A small HTTP server on loopback. A function answers each request; each runs in a thread of its own."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    """With its query."""
    headers: Message
    body: bytes


class Reply(NamedTuple):
    status: int
    body: bytes | Iterator[bytes] = b""
    """Parts are sent one after the other, without a length, as long as the client listens."""
    headers: Mapping[str, str] = {}
    """They replace the server's own ``Date`` and ``Content-Length``."""


@contextmanager
def serve(answer: Callable[[Request], Reply | None], *, keep_alive: bool = False) -> Iterator[str]:
    """Serve during the block, and yield the URL. If ``answer`` returns None, the connection ends without a reply."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if keep_alive else "HTTP/1.0"
        disable_nagle_algorithm = True

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = answer(Request(self.command, self.path, self.headers, body))
            if reply is None:
                self.close_connection = True
                return
            whole = isinstance(reply.body, bytes)
            length = {"Content-Length": str(len(reply.body))} if whole else {}
            self.send_response_only(reply.status)
            for name, value in ({"Date": self.date_time_string()} | length | dict(reply.headers)).items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                for part in [reply.body] if whole else reply.body:
                    self.wfile.write(part)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = handle_one

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # A client may keep its connection after the test.
    server.daemon_threads = keep_alive
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
