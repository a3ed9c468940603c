"""Which endpoints may be called: public ones alone, however their address is written."""

import socket

import pytest

from nightshift.alerts import endpoint_calls
from nightshift.alerts.public_endpoints import Endpoint, NotPublic, is_public, parse_endpoint, resolve
from nightshift.base.errors import Refused

SINK = "http://127.0.0.1:4567/alerts/key"

REFUSED_URLS = [
    "http://hooks.example.com/",
    "ftp://hooks.example.com/",
    "//hooks.example.com/",
    "hooks.example.com/x",
    "file:///etc/passwd",
    "https:///x",
    "https://",
    "https://hooks.example.com:8443/",
    "https://hooks.example.com:80/",
    "https://hooks.example.com:/",
    "https://hooks.example.com:99999/",
    "https://hooks.example.com:4a3/",
    "https://user@hooks.example.com/",
    "https://user:pass@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://hooks.example.com/#x",
    "https://hooks.example.com/#",
    "https://hooks.example.com/a b",
    "https://hooks.example.com/\r\nX-Injected: 1",
    "https://hooks.example.com/\x00",
    "https://hooks.example.com/ü",
    "https://hooks。example。com/",
    "https://ⓛocalhost/",
    "https://127.0.0.1/",
    "https://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.0x1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.73.0.5/",
    "https://8.8.8.8/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[v1.example.com]/",
    "https://localhost/",
    "https://localhost./",
    "https://api.localhost/",
    "https://metadata.google.internal/",
    "https://ip-10-0-0-1.eu-central-1.compute.internal/",
    "https://printer.local/",
    "https://1.0.0.127.in-addr.arpa/",
    "https://hooks/",
    "https://.example.com/",
    "https://hooks..example.com/",
    "https://-hooks.example.com/",
    "https://hooks.example.com./",
    "https://" + "a" * 64 + ".example.com/",
    "https://" + "a." * 130 + "com/",
    "https://hooks.example.com/" + "x" * 2000,
    "https://%31%32%37.0.0.1/",
    "https://hooks.example.com%00.evil.example/",
    "javascript:alert(1)",
    "",
]

NOT_PUBLIC = [
    *("127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "10.73.0.5", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.170.2", "100.64.0.1", "100.127.255.254", "192.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "224.0.1.1", "239.1.2.3", "240.0.0.1", "255.255.255.255"),
    *("192.0.0.8", "192.0.0.9", "192.0.0.10", "192.88.99.1", "::", "::1", "::127.0.0.1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
    *("::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1", "2001::1", "2001:0:53aa:64c::1", "2001:db8::1"),
    *("fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "ff02::1", "ff0e::1"),
    *("100::1", "3fff::1", "5f00::1", "2001:10::1", "2001:2::1", "2606:4700::1%1", "", "example.com", "1", "0x7f.1"),
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_an_address_that_may_not_be_called_is_refused_without_repeating_it(url):
    with pytest.raises(Refused) as refused:
        parse_endpoint(url, sink_url="")
    assert refused.value.extra == {"field": "url"}
    assert not url or url not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://hooks.example.com", Endpoint("hooks.example.com", "/")),
        ("https://HOOKS.Example.com:443/a/b?c=d&e=%20", Endpoint("hooks.example.com", "/a/b?c=d&e=%20")),
        ("https://xn--bcher-kva.example/x", Endpoint("xn--bcher-kva.example", "/x")),
        ("https://hooks.example.com?x", Endpoint("hooks.example.com", "/?x")),
    ],
)
def test_a_public_host_is_accepted(url, endpoint):
    assert parse_endpoint(url, sink_url="") == endpoint


@pytest.mark.parametrize(
    "url",
    ["https://hooks.slack.com.evil.example/", "https://evil.example/hooks.slack.com", "https://slack.com/services"],
)
def test_slack_has_one_host(url):
    assert parse_endpoint("https://hooks.slack.com/services/T/B/x", sink_url="", only_host="hooks.slack.com")
    with pytest.raises(Refused, match=r"must begin with https://hooks\.slack\.com/"):
        parse_endpoint(url, sink_url="", only_host="hooks.slack.com")


def test_the_sink_of_the_local_stack_is_the_one_exception():
    for behind in ("", "/x?y", "?status=503"):
        found = Endpoint("127.0.0.1", f"/alerts/key{behind}", 4567, is_sink=True)
        assert parse_endpoint(SINK + behind, sink_url=SINK) == found
    for url in ("http://127.0.0.1:4567/alerts/keys", "http://127.0.0.1:4567/", "http://127.0.0.1:9001/alerts/key"):
        with pytest.raises(Refused):
            parse_endpoint(url, sink_url=SINK)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address(address):
    assert is_public(address)


@pytest.fixture
def named(monkeypatch):
    """``named("10.0.0.1", …)``: each name has these addresses, one answer after the other. Return the names asked."""
    asked = []

    def name(*answers):
        remaining = list(answers)

        def getaddrinfo(host, port, **_):
            asked.append(host)
            addresses = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return name


ENDPOINT = Endpoint("hooks.example.com", "/")


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["fd00:ec2::254", "1.1.1.1"]])
def test_a_name_with_an_address_that_is_not_public_is_not_called(named, addresses, monkeypatch):
    named(addresses)
    monkeypatch.setattr(endpoint_calls, "_connected", lambda *_: pytest.fail("it was called"))
    with pytest.raises(NotPublic):
        resolve(ENDPOINT)
    called = endpoint_calls.call(ENDPOINT, b"{}", {})
    assert (called.status, called.is_accepted) == (None, False)
    assert called.error == "hooks.example.com leads to an address that is not public, so it was not called"


def test_a_name_is_resolved_once_and_that_address_connected_to(named, monkeypatch):
    """A name that leads elsewhere at its second answer (DNS rebinding) changes nothing."""
    asked, connected = named(["8.8.8.8"], ["127.0.0.1"]), []

    def connect(address, **_):
        connected.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "create_connection", connect)
    endpoint_calls.call(ENDPOINT, b"{}", {})
    assert (asked, connected) == (["hooks.example.com"], [("8.8.8.8", 443)])
