"""An identity provider over HTTP. It publishes keys and signs tokens with them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.support import http_server

ISSUER, AUDIENCE = "https://identity.example/", "nightshift"

MAKE = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "PS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class Provider:
    """``keys`` are the published keys. While ``answer`` is set (status, headers, body), every request gets it.

    ``asked`` counts the requests.
    """

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.private: dict[str, Any] = {}
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        self.drips = False
        self.asked = 0
        self.url = ""

    def add(self, kid: str, algorithm: str = "RS256", **changed: Any) -> None:
        """Publish another key. ``changed`` overrides members of its JWK."""
        private = self.private[kid] = MAKE[algorithm]()
        maker = jwt.get_algorithm_by_name(algorithm)
        self.keys.append(maker.to_jwk(private.public_key(), as_dict=True) | {"kid": kid, "use": "sig"} | changed)

    def withdraw(self, kid: str) -> None:
        self.keys = [key for key in self.keys if key["kid"] != kid]

    def token(self, kid: str, algorithm: str = "RS256", **claims: Any) -> str:
        known = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 3600} | claims
        present = {name: value for name, value in known.items() if value is not None}
        return jwt.encode(present, self.private[kid], algorithm=algorithm, headers={"kid": kid})


@contextmanager
def serve() -> Iterator[Provider]:
    provider = Provider()
    over = threading.Event()

    def answer(request: http_server.Request) -> http_server.Reply:
        provider.asked += 1
        if provider.drips:
            return http_server.Reply(200, iter(lambda: b"" if over.wait(0.05) else b" ", b""))
        status, headers, body = provider.answer or (200, {}, json.dumps({"keys": provider.keys}).encode())
        return http_server.Reply(status, body, headers)

    with http_server.serve(answer) as url:
        provider.url = f"{url}/jwks"
        try:
            yield provider
        finally:
            over.set()
