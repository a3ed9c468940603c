"""Slugs: names of any script as a word of URLs and command lines."""

import hashlib
import re
import unicodedata

from nightshift.errors import SetupRefused
from nightshift.wording import visible

LONGEST = 60
# Latin letters that Unicode does not take apart into a letter of ASCII and its marks.
LATIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i", "ħ": "h"}
)


def slug_of(field: str, name: str, *, kind: str) -> str:
    """``Ärzte & Co`` → ``arzte-co``; a name without a letter or digit of ASCII → ``team-`` and a hash of it.

    Raises SetupRefused, naming ``field``, for a name without a letter, a digit or a symbol of any script.
    """
    plain = unicodedata.normalize("NFKD", visible(name).strip()).casefold().translate(LATIN)
    if not any(char.isalnum() or unicodedata.category(char) == "So" for char in plain):
        raise SetupRefused(f"{field} must hold a letter or a digit, got {name!r}")
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    slug = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:LONGEST].strip("-")
    # The same name, however its letters are composed, has the same slug.
    return slug or f"{kind}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def checked_slug(field: str, slug: str) -> str:
    """Raises SetupRefused, naming ``field``, for what could not be typed on every keyboard."""
    if len(slug) > LONGEST or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
        raise SetupRefused(f"{field} must be a-z, 0-9 and single hyphens, {LONGEST} at most, got {slug!r}")
    return slug
