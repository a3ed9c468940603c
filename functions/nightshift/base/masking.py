"""Secrets that this process has decrypted. They are masked wherever they occur in a log line."""

import json
from urllib.parse import quote

MASK = "[secret]"
# A shorter secret would also mask parts of ordinary words.
MIN_LENGTH = 4
# So many secrets are remembered, the newest. A worker reads one or two in a slice.
MOST = 50

# The spellings of each secret: as it is, in JSON, and in a URL.
_spellings: dict[str, tuple[str, ...]] = {}


def remember(secret: str) -> None:
    """Mask this secret from now on, with or without the space around it."""
    secret = secret.strip()
    if len(secret) < MIN_LENGTH:
        return
    spellings = {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
    _spellings.pop(secret, None)
    # The longest first: a part of it may be another spelling.
    _spellings[secret] = tuple(sorted(spellings, key=len, reverse=True))
    for oldest in list(_spellings)[:-MOST]:
        _spellings.pop(oldest, None)


def masked(text: str) -> str:
    """Return the text with a mask in the place of each secret."""
    for spellings in tuple(_spellings.values()):
        for spelling in spellings:
            text = text.replace(spelling, MASK)
    return text
