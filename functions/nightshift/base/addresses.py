"""Mail addresses as people write them, and in the form that SES accepts: only ASCII characters."""

import re
import unicodedata

from nightshift.base.errors import NightshiftError

# The characters in use before the @. Only the mail server knows whether an address exists.
LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# The separators between addresses, except inside a quoted name.
BETWEEN = re.compile(r'[,;](?=(?:[^"]*"[^"]*")*[^"]*$)')
NAMED = re.compile(r"[^<>]*<([^<>]*)>")
# Browsers and mail programs accept each of these as the dot between labels (RFC 3490, 3.1).
DOTS = re.compile("[.\u3002\uff0e\uff61]")
LONGEST_DOMAIN = 253


class BadAddress(NightshiftError):
    """This is not a mail address"""


def addresses_in(text: str) -> list[str]:
    """Return the distinct addresses in a list with commas or semicolons. Invalid ones are kept, and fail when used."""
    found: dict[str, str] = {}
    for part in BETWEEN.split(text):
        if address := without_name(part):
            found.setdefault(address.lower(), address)
    return list(found.values())


def ascii_address(text: str) -> str:
    """Return the address with its domain in punycode. Raise BadAddress, with the reason, for an invalid address."""
    address = without_name(text)
    local, at, domain = address.rpartition("@")
    if not at or "@" in local or not text.strip().isprintable():
        raise BadAddress(f"{text!r} is not a mail address like ada@example.com")
    if not local.isascii():
        raise BadAddress(f"{text!r} cannot receive mail: SES accepts only ASCII characters before the @")
    if not LOCAL.fullmatch(local):
        raise BadAddress(f"{text!r} is not a mail address: {local!r} is not allowed before the @")
    try:
        labels = [_ascii_label(label) for label in DOTS.split(domain)]
    except UnicodeError:
        labels = [""]
    if not all(LABEL.fullmatch(label) for label in labels) or len(".".join(labels)) > LONGEST_DOMAIN:
        raise BadAddress(f"{text!r} is not a mail address: {domain!r} is not a valid domain name")
    return f"{local}@{'.'.join(labels)}"


def without_name(text: str) -> str:
    """Return ``ada@example.com`` for ``Ada <ada@example.com>``."""
    named = NAMED.fullmatch(text.strip())
    return (named[1] if named else text).strip()


def _ascii_label(label: str) -> str:
    """Return ``xn--bcher-kva`` for ``bücher``.

    ``straße`` and ``strasse`` remain different names (IDNA 2008, which Python's own codec does not follow).
    """
    plain = unicodedata.normalize("NFKC", label.replace("\u1e9e", "ß"))
    folded = unicodedata.normalize("NFKC", "".join(char if char in "ßς" else char.casefold() for char in plain))
    if folded.isascii():
        return folded
    # Allowed: letters, marks, digits, and the joiners that some scripts need within a word.
    if not all(unicodedata.category(char)[0] in "LMN" or char in "-\u200c\u200d\u00b7" for char in folded):
        return ""
    return "xn--" + folded.encode("punycode").decode()
