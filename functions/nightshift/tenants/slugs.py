"""Slugs: names in any script, converted to a word for URLs and command lines."""

import hashlib
import re
import unicodedata

from nightshift.base.errors import SetupRefused
from nightshift.base.wording import visible

LONGEST = 60
# Latin letters that Unicode does not decompose into an ASCII letter and marks.
LATIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i", "ħ": "h"}
)


def slug_of(field: str, name: str, *, kind: str) -> str:
    """Return a slug: ``Ärzte & Co`` → ``arzte-co``; without ASCII letters or digits, ``team-`` and a hash of the name.

    Raise SetupRefused, naming ``field``, for a name without a letter, a digit or a symbol of any script.
    """
    plain = unicodedata.normalize("NFKD", visible(name).strip()).casefold().translate(LATIN)
    if not any(char.isalnum() or unicodedata.category(char) == "So" for char in plain):
        raise SetupRefused(f"{field} must contain a letter or a digit, got {name!r}")
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    slug = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:LONGEST].strip("-")
    # The slug does not depend on the Unicode composition of the name.
    return slug or f"{kind}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def checked_slug(field: str, slug: str) -> str:
    """Return the slug. Raise SetupRefused, naming ``field``, if it could not be typed on every keyboard."""
    if len(slug) > LONGEST or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
        raise SetupRefused(
            f"{field} must consist of a-z, 0-9 and single hyphens, at most {LONGEST} characters, got {slug!r}"
        )
    return slug
