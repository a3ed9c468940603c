"""Mail addresses as people write them, and in the form that SES takes: with letters of ASCII alone."""

import re
import unicodedata

from nightshift.errors import NightshiftError

# What stands before the @ in the addresses that there are; which of them are somebody's, the mail server knows.
LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Between addresses, unless it stands in the quotes around a name.
BETWEEN = re.compile(r'[,;](?=(?:[^"]*"[^"]*")*[^"]*$)')
NAMED = re.compile(r"[^<>]*<([^<>]*)>")
# Each of these ends a label, as browsers and mail programs read it (RFC 3490, 3.1).
DOTS = re.compile("[.\u3002\uff0e\uff61]")
LONGEST_DOMAIN = 253


class BadAddress(NightshiftError):
    """This is not a mail address"""


def addresses_in(text: str) -> list[str]:
    """Each address of a list with commas or semicolons, once; what is none stays in it, to be told where it is used."""
    found: dict[str, str] = {}
    for part in BETWEEN.split(text):
        if address := without_name(part):
            found.setdefault(address.lower(), address)
    return list(found.values())


def ascii_address(text: str) -> str:
    """Return the address with its domain in punycode. Raises BadAddress with a sentence that says what is wrong."""
    address = without_name(text)
    local, at, domain = address.rpartition("@")
    if not at or "@" in local or not text.strip().isprintable():
        raise BadAddress(f"{text!r} is not a mail address like ada@example.com")
    if not local.isascii():
        raise BadAddress(f"{text!r} cannot get mail: SES takes ASCII characters alone before the @")
    if not LOCAL.fullmatch(local):
        raise BadAddress(f"{text!r} is not a mail address: {local!r} cannot stand before the @")
    try:
        labels = [_ascii_label(label) for label in DOTS.split(domain)]
    except UnicodeError:
        labels = [""]
    if not all(LABEL.fullmatch(label) for label in labels) or len(".".join(labels)) > LONGEST_DOMAIN:
        raise BadAddress(f"{text!r} is not a mail address: {domain!r} is not the name of a domain")
    return f"{local}@{'.'.join(labels)}"


def without_name(text: str) -> str:
    """``Ada <ada@example.com>`` is ``ada@example.com``."""
    named = NAMED.fullmatch(text.strip())
    return (named[1] if named else text).strip()


def _ascii_label(label: str) -> str:
    """``bücher`` is ``xn--bcher-kva``; ``straße`` stays another name than ``strasse`` (IDNA 2008, which Python's own
    codec does not follow).
    """
    plain = unicodedata.normalize("NFKC", label.replace("\u1e9e", "ß"))
    folded = unicodedata.normalize("NFKC", "".join(char if char in "ßς" else char.casefold() for char in plain))
    if folded.isascii():
        return folded
    # Letters, marks and digits, and the joiners that some scripts need within a word.
    if not all(unicodedata.category(char)[0] in "LMN" or char in "-\u200c\u200d\u00b7" for char in folded):
        return ""
    return "xn--" + folded.encode("punycode").decode()
