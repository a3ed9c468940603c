"""The endpoints that teams choose for alerts, and which of them may be called.

Anybody who may make an alert chooses an address that this system calls. So the address must be public: never one of the
VPC, of Lambda itself, or of AWS's metadata. A name is resolved once, and the call goes to the address that was checked.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from nightshift.base.errors import NightshiftError, Refused

MAX_URL = 2000
SLACK_HOST = "hooks.slack.com"
# Visible ASCII characters without those that browsers and servers read differently.
PLAIN = re.compile(r"[!#-;=?-\[\]_a-z~%&]+")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# A last label like this makes the whole name a number for a resolver: 2130706433, 0x7f.1, 127.0.0.0x1.
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Names that mean this machine or this network, wherever they are resolved.
NOT_PUBLIC = ("localhost", "local", "internal", "arpa", "lan", "home", "corp", "invalid", "test", "onion")

NUMBER = "must name a host like hooks.example.com, not a number of an address"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")
SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
# Teredo, which hides an IPv4 address; the deprecated relays of 6to4; addresses of protocols and examples, of which
# Python 3.11 does not know all.
NEVER = tuple(ipaddress.ip_network(each) for each in ("2001::/32", "192.88.99.0/24", "192.0.0.0/24", "3fff::/20"))
UNICAST = ipaddress.ip_network("2000::/3")


class NotPublic(NightshiftError):
    """The name of the endpoint has no public address"""


@dataclass(frozen=True)
class Endpoint:
    host: str
    target: str
    """The path with the query."""
    port: int = 443
    is_sink: bool = False
    """The page of the local stack that shows what came. It is called without TLS, and its address is not checked."""


def parse_endpoint(url: str, *, sink_url: str, only_host: str | None = None) -> Endpoint:
    """Return the endpoint. Raise Refused, without repeating the URL, for one that may not be called.

    ``sink_url`` is the local stack's page, and empty on AWS. ``only_host`` is the one host that the channel accepts.
    """
    if not PLAIN.fullmatch(url) or len(url) > MAX_URL:
        raise _refused(f"must be an address with at most {MAX_URL:,} visible ASCII characters")
    if sink_url and url.startswith(sink_url) and url.removeprefix(sink_url)[:1] in ("", "/", "?"):
        sink = urlsplit(url)
        return Endpoint(str(sink.hostname), _target(sink), port=sink.port or 80, is_sink=True)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("is not a valid address") from None
    if parts.scheme != "https":
        raise _refused("must begin with https://")
    if "@" in parts.netloc:
        raise _refused("must not contain a user name or a password")
    if port not in (None, 443) or parts.netloc.endswith(":"):
        raise _refused("must not name another port than 443")
    if "[" in parts.netloc:
        raise _refused(NUMBER)
    if parts.fragment or "#" in url:
        raise _refused("must not contain #")
    host = _checked_host((parts.hostname or "").lower())
    if only_host and host != only_host:
        raise _refused(f"must begin with https://{only_host}/")
    return Endpoint(host, _target(parts))


def resolve(endpoint: Endpoint) -> list[str]:
    """Return the addresses of the endpoint's name. Raise NotPublic if one of them is not public, and OSError."""
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    if not endpoint.is_sink:
        for address in addresses:
            if not is_public(address):
                raise NotPublic(f"{endpoint.host} leads to an address that is not public, so it was not called")
    return addresses


def is_public(address: str) -> bool:
    """Tell whether the address is global unicast, also after taking out an IPv4 address that is hidden in it."""
    try:
        outer = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(outer, ipaddress.IPv6Address):
        if outer.scope_id is not None:
            return False
        if outer.ipv4_mapped is not None:
            return _is_global(outer.ipv4_mapped)
        if outer in NAT64:
            return _is_global(ipaddress.IPv4Address(int(outer) & 0xFFFFFFFF))
        if outer in SIX_TO_FOUR:
            return False
    return _is_global(outer)


def _is_global(address: Address) -> bool:
    if address.version == 6 and address not in UNICAST:
        return False
    if any(address in network for network in NEVER if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified


def _checked_host(host: str) -> str:
    labels = host.split(".")
    if NUMERIC.fullmatch(labels[-1]):
        raise _refused(NUMBER)
    if len(labels) < 2 or len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise _refused("must name a host like hooks.example.com")
    if labels[-1] in NOT_PUBLIC:
        raise _refused(f"must name a public host, and names that end with .{labels[-1]} are not")
    return host


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _refused(why: str) -> Refused:
    return Refused(f"url {why}", field="url")
