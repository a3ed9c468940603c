"""Secrets that this process has decrypted. They are masked in log lines, errors and other texts of runs."""

import json
import re
from urllib.parse import quote, quote_plus

MASK = "[secret]"
# A shorter secret would also mask parts of ordinary words.
MIN_LENGTH = 4
# So many secrets are remembered, the newest. A worker reads one or two in a slice.
MOST = 50

# An escape of a URL. Its digits may also be small letters.
ESCAPE = re.compile("%[0-9A-F]{2}")

# The spellings of each secret: as it is, as Python's and JSON's text, and in a URL.
_spellings: dict[str, set[str]] = {}
# All of them, the longest first: a part of one may be another one, also of another secret.
_longest_first: tuple[str, ...] = ()


def remember(secret: str) -> None:
    """Mask this secret from now on, with or without the space around it."""
    global _longest_first
    secret = secret.strip()
    if len(secret) < MIN_LENGTH:
        return
    _spellings.pop(secret, None)
    _spellings[secret] = _spelled(secret)
    for oldest in list(_spellings)[:-MOST]:
        _spellings.pop(oldest, None)
    _longest_first = tuple(sorted(set().union(*_spellings.values()), key=len, reverse=True))


def _spelled(secret: str) -> set[str]:
    in_urls = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    small = {ESCAPE.sub(lambda escape: escape[0].lower(), each) for each in in_urls}
    in_json = {json.dumps(secret, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    return {secret, repr(secret)[1:-1], *in_json, *in_urls, *small}


def masked(text: str) -> str:
    """Return the text with a mask in the place of each secret."""
    for spelling in _longest_first:
        text = text.replace(spelling, MASK)
    return text
