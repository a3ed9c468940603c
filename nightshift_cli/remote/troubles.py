"""Explain failed requests in sentences, without the names of Python classes."""

import ssl
from http.client import HTTPException, IncompleteRead, RemoteDisconnected

from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
    TimeoutError,
)

NOT_RESOLVED = "its name cannot be resolved"


def trouble_with(url: str, exc: Exception) -> str:
    """Return a sentence about a failed request to ``url``."""
    match exc:
        case NewConnectionError():
            return f"Cannot reach {url}: {reason_of(exc)}."
        case TimeoutError():
            return f"{url} did not respond in time."
        case ProxyError():
            return f"Cannot reach {url} through the proxy from the environment: {reason_of(exc.original_error)}."
        case SSLError():
            return f"Cannot trust {url}: {reason_of(exc)}."
        case DecodeError():
            return f"{url} sent a response that cannot be decompressed."
        case UnicodeError() | LocationValueError():
            return f"{url} has an invalid host name: a part of it is empty or too long."
        case _:
            return f"The connection to {url} failed: {reason_of(exc)}."


def reason_of(exc: BaseException) -> str:
    """Return the root cause. urllib3 wraps exceptions in others, as their cause or as one of their arguments."""
    match exc:
        case NameResolutionError():
            return NOT_RESOLVED
        case RemoteDisconnected():
            return "the server closed it without a response"
        case IncompleteRead():
            return "the response was cut off"
        case ssl.SSLCertVerificationError():
            return f"the certificate cannot be verified, {exc.verify_message}"
        case ssl.SSLError():
            return "the TLS handshake failed"
        case HTTPException():
            return "the response is not HTTP"
        case OSError() if exc.strerror:
            return exc.strerror[0].lower() + exc.strerror[1:]
        case OSError() if not isinstance(exc, HTTPError) and exc.args:
            return str(exc.args[0])
    inner = [exc.__cause__, exc.__context__, *exc.args]
    deeper = next((each for each in inner if isinstance(each, BaseException)), None)
    return reason_of(deeper) if deeper else "no connection"
