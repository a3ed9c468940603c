"""Secrets that this process has decrypted. They are masked wherever they occur in a log line."""

import json
from urllib.parse import quote

MASK = "[secret]"
# A shorter secret would also mask parts of ordinary words.
MIN_LENGTH = 4
# So many secrets are remembered, the newest. A worker reads one or two in a slice.
MOST = 50

# The spellings of each secret: as it is, in JSON, and in a URL.
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
    _spellings[secret] = {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
    for oldest in list(_spellings)[:-MOST]:
        _spellings.pop(oldest, None)
    _longest_first = tuple(sorted(set().union(*_spellings.values()), key=len, reverse=True))


def masked(text: str) -> str:
    """Return the text with a mask in the place of each secret."""
    for spelling in _longest_first:
        text = text.replace(spelling, MASK)
    return text
