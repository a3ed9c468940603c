"""Why a request brought no answer, in a sentence without the names of Python's classes."""

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
    """The sentence about a request to ``url``."""
    match exc:
        case NewConnectionError():
            return f"Cannot reach {url}: {reason_of(exc)}."
        case TimeoutError():
            return f"{url} does not answer in time."
        case ProxyError():
            return f"The proxy that the environment names does not lead to {url}: {reason_of(exc.original_error)}."
        case SSLError():
            return f"Cannot trust {url}: {reason_of(exc)}."
        case DecodeError():
            return f"{url} sent an answer that cannot be unpacked."
        case UnicodeError() | LocationValueError():
            return f"{url} names a host that cannot be: a part of it is empty or too long."
        case _:
            return f"The connection to {url} broke: {reason_of(exc)}."


def reason_of(exc: BaseException) -> str:
    """What is at the bottom of it: urllib3 wraps a trouble in others, as their cause or as one of their arguments."""
    match exc:
        case NameResolutionError():
            return NOT_RESOLVED
        case RemoteDisconnected():
            return "the server closed it without an answer"
        case IncompleteRead():
            return "the answer ended before its end"
        case ssl.SSLCertVerificationError():
            return f"the certificate cannot be verified, {exc.verify_message}"
        case ssl.SSLError():
            return "it does not speak TLS as it should"
        case HTTPException():
            return "the answer is not HTTP"
        case OSError() if exc.strerror:
            return exc.strerror[0].lower() + exc.strerror[1:]
        case OSError() if not isinstance(exc, HTTPError) and exc.args:
            return str(exc.args[0])
    inner = [exc.__cause__, exc.__context__, *exc.args]
    deeper = next((each for each in inner if isinstance(each, BaseException)), None)
    return reason_of(deeper) if deeper else "no connection"
