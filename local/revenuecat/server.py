"""Serve the sandbox over HTTP/1.1: API v2 below ``/v2``, and an interface for tests below ``/_sandbox``."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from typing import Any

from local.gate import GatedHandler
from local.revenuecat.replies import Reply, error
from local.revenuecat.sandbox import Sandbox

PREFIX = "/v2"


@contextmanager
def serve(sandbox: Sandbox, *, port: int = 0) -> Iterator[str]:
    """Serve ``sandbox`` on 127.0.0.1 and yield its base URL. Port 0 means any free port.

    At the end, cut every connection, including those with active calls.
    """
    server = _Server(sandbox, port)
    acceptor = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="revenuecat-sandbox")
    acceptor.start()
    try:
        yield f"{server.origin}{PREFIX}"
    finally:
        server.shutdown()
        acceptor.join()
        server.cut_connections()
        server.server_close()


class _Server(ThreadingHTTPServer):
    # server_close() waits for the threads. They end when their connections are cut.
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, sandbox: Sandbox, port: int):
        super().__init__(("127.0.0.1", port), _Handler)
        self.sandbox = sandbox
        self.origin = f"http://127.0.0.1:{self.server_port}"
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        self.stopping.set()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Ignore clients that disconnect during a call; any other exception is a bug in the sandbox.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(GatedHandler):
    protocol_version = "HTTP/1.1"
    # Send headers and body in one packet.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/_sandbox/stats":
            self._send(Reply(body=self.server.sandbox.stats()))
        elif self.path.startswith(f"{PREFIX}/"):
            self._answer()
        else:
            self._send(error(404, f"Unknown endpoint {self.path}."))

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/_sandbox/faults":
            self._send(error(404, f"Unknown endpoint POST {self.path}."))
            return
        try:
            fields = json.loads(content)
            if not isinstance(fields, dict):
                raise ValueError(f"A fault must be a JSON object, got {fields!r}.")
            self.server.sandbox.add_fault(**fields)
        except ValueError as exc:
            self._send(error(400, str(exc)))
            return
        self._send(Reply(status=201, body=fields))

    def do_DELETE(self) -> None:
        if self.path != "/_sandbox/faults":
            self._send(error(404, f"Unknown endpoint DELETE {self.path}."))
            return
        self.server.sandbox.clear_faults()
        self._send(Reply(body={"cleared": True}))

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing. The stats count the calls; a line for each call would hide more important lines."""

    def _answer(self) -> None:
        reply = self.server.sandbox.answer(
            self.path.removeprefix(PREFIX),
            base_url=f"http://{self.headers.get('Host', self.server.origin.removeprefix('http://'))}{PREFIX}",
            authorization=self.headers.get("Authorization"),
            wait=self.server.stopping.wait,
        )
        if reply is None or self.server.stopping.is_set():
            self.close_connection = True
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        content = reply.content
        self.send_response(reply.status)
        self.send_header("Content-Type", "text/html" if isinstance(reply.body, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
