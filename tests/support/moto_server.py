"""moto over HTTP. It listens inside botocore's clients, which refuse requests without a signature."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.awsrequest import AWSPreparedRequest, HTTPHeaders
from moto.core.models import botocore_stubber


@contextmanager
def serve() -> Iterator[str]:
    """Yield the endpoint of every service. Its state belongs to the mock_aws around each request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            # Credential=<key>/<day>/<region>/<service>/aws4_request
            _, _, region, service, _ = self.headers["Authorization"].split(",")[0].split("/")
            host = f"{'email' if service == 'ses' else service}.{region}.amazonaws.com"
            headers = HTTPHeaders.from_dict(dict(self.headers) | {"Host": host})
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = AWSPreparedRequest("POST", f"https://{host}{self.path}", headers, body, stream_output=False)
            status, answered, content = botocore_stubber.process_request(request)
            content = content.encode() if isinstance(content, str) else content
            self.send_response(status)
            for name, value in answered.items():
                if name.lower() not in ("content-length", "date", "server"):
                    self.send_header(name, str(value))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
