"""Plain English, counted: words and openings that make a reader stop are rare everywhere."""

import re
from pathlib import Path

import pytest

from tests.support import prose

PACKAGES = ("functions", "nightshift_cli", "local", "bench", "tools")
READ = {
    "code": (prose.of_code, "py", PACKAGES),
    "strings": (prose.of_strings, "py", ("functions", "nightshift_cli", "local")),
    "tests": (prose.of_code, "py", ("tests",)),
    "dashboard": (prose.of_script, "[jh][st]*", ("functions/dashboard/static",)),
    "sql": (prose.of_sql, "sql", ("sql", "functions")),
    "docs": (prose.of_page, "md", (".",)),
    "template": (prose.of_template, "yaml", ("template.yaml",)),
}
LEFT_OUT = {".venv", "vendor", ".local", ".aws-sam", ".git", "node_modules", ".hypothesis", ".pytest_cache"}

ODD = re.compile(
    r"\b(?:whoever|whatever|whichever|nobody|somebody|meanwhile|any more"
    r"|(?<!there )(?:is|are|was|were) no (?!longer\b|more\b)\w+)\b",
    re.IGNORECASE,
)
FREE_RELATIVE = re.compile(r"(?:What|Who|Whoever|Where|Whatever|Whose)\b[^?]*$")
MOST_ODD_PER_1000_WORDS = 1.5
MOST_FREE_RELATIVES = 0.005


def sentences_of(kind):
    read, extension, places = READ[kind]
    for place in map(Path, places):
        for path in [place] if place.is_file() else sorted(place.rglob(f"*.{extension}")):
            if not LEFT_OUT & set(path.parts):
                for sentence in prose.sentences(read(path)):
                    yield path, sentence


@pytest.mark.parametrize("kind", READ)
def test_odd_words_and_openings_are_rare(kind):
    found = list(sentences_of(kind))
    words = sum(len(sentence.split()) for _, sentence in found)
    odd = [f"{path}: {sentence}" for path, sentence in found if ODD.search(sentence)]
    free = [f"{path}: {sentence}" for path, sentence in found if FREE_RELATIVE.match(sentence)]
    assert words > 100
    assert len(odd) <= MOST_ODD_PER_1000_WORDS * words / 1000, "\n".join(odd)
    assert len(free) <= MOST_FREE_RELATIVES * len(found), "\n".join(free)


@pytest.mark.parametrize(
    ("sentence", "is_odd", "is_free"),
    [
        ("What is paused is not told of.", False, True),
        ("What is paused?", False, False),
        ("Paused jobs are not reported.", False, False),
        ("Nobody is here.", True, False),
        ("That is no name for a job.", True, False),
        ("It is no longer there.", False, False),
        ("There is no sender.", False, False),
        ("Whoever calls, calls again.", True, True),
        ("It is not there any more.", True, False),
    ],
)
def test_the_measure(sentence, is_odd, is_free):
    assert bool(ODD.search(sentence)) == is_odd
    assert bool(FREE_RELATIVE.match(sentence)) == is_free


def test_every_kind_of_text_is_read(tmp_path):
    files = {
        "a.py": '"""Whole module.\n\nIts second part."""\n# One comment\n# of two lines.\nx: int = 1\n"""A field."""\n'
        'say(f"Cannot find {x} in here")\n',
        "a.sql": "-- Rows of a run.\nSELECT 1; -- Its number.\n",
        "a.md": "# A heading\nSome text.\n```\nno text\n```\n- An item\n| a cell | b cell |\n",
        "a.js": '// A comment of words.\nsay("Three words here", `and in here`);\n<p>Shown to all people</p>\n',
        "a.yaml": "Description: Of a parameter\n# A comment\nValue: not read\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert list(prose.sentences(prose.of_code(tmp_path / "a.py"))) == [
        *("Whole module.", "Its second part.", "A field.", "One comment of two lines."),
    ]
    assert list(prose.of_strings(tmp_path / "a.py")) == ["Cannot find X in here"]
    assert list(prose.of_sql(tmp_path / "a.sql")) == ["Rows of a run. Its number."]
    assert [" ".join(text.split()) for text in prose.of_page(tmp_path / "a.md") if text.strip()] == [
        *("A heading Some text.", "An item", "a cell", "b cell"),
    ]
    assert list(prose.of_script(tmp_path / "a.js")) == [
        *(" A comment of words.", "Three words here", "and in here", "Shown to all people"),
    ]
    assert list(prose.of_template(tmp_path / "a.yaml")) == [" Of a parameter", " A comment"]
