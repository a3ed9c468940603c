"""Text and numbers as shown: every visible letter, every digit, and no invisible character."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.base import wording
from nightshift.notify.mail_content import sections_of


@pytest.mark.parametrize(
    "text",
    [
        "日本アプリ",
        "مشروع",
        "می‌خواهم",
        "हिन्दी क्‍ष",
        "Ärzte",
        "A\u0308rzte",
        "👨‍👩‍👧‍👦 👩🏽‍💻 🏳️‍🌈 🐈‍⬛ 🧑‍🤝‍🧑",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\U0001fae9 of a later Unicode",
    ],
)
def test_every_script_stays_as_it_is(text: str) -> None:
    assert wording.visible(text) == wording.one_line(text, longest=100) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07title", "]0;ownedtitle"),
        ("\x1b[2J\x9b31mred", "[2J31mred"),
        ("safe\u202egnp.exe", "safegnp.exe"),
        ("\u2066a\u2069\u200e\u200f\u061cb", "ab"),
        ("pay\u200bpal\ufeff", "paypal"),
        ("soft\u00adhyphen", "softhyphen"),
        ("a\u200db\u200c", "ab"),
        ("\u200dfirst", "first"),
        ("é\u200d\u200d\u200d", "é\u200d"),
        ("é\u202e\u200dx", "éx"),
        ("\U000e0041hidden\U000e007f", "hidden"),
        ("\U0001f3f4\U000e0067 no flag", "\U0001f3f4 no flag"),
        ("half \ud83d", "half "),
        ("one\r\ntwo\u2028three\x85four", "one two three four"),
        ("\u3164", ""),
    ],
)
def test_what_hides_or_acts_is_dropped(text: str, shown: str) -> None:
    assert wording.visible(text) == shown
    assert wording.visible(shown) == shown
    assert json.loads(f'"{wording.escaped(json.dumps(text, ensure_ascii=False)[1:-1])}"') == text


@given(st.text(st.characters(exclude_categories=["L", "N", "P", "Zs", "Mn", "Mc", "Me", "So", "Sm", "Sc", "Sk"])))
def test_of_control_and_format_characters_nothing_stays_that_acts(text: str) -> None:
    kept = {char for char in wording.visible(text) if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")}
    assert not kept
    assert not set(wording.visible(text)) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff")


@pytest.mark.parametrize("longest", range(2, 12))
def test_a_cut_leaves_no_letter_without_its_marks(longest: int) -> None:
    cut = wording.one_line("ab👩🏽‍💻cde\u0301fgh", longest=longest)
    assert len(cut) <= longest
    assert cut in {"a…", "ab…", "ab👩🏽‍💻…", "ab👩🏽‍💻c…", "ab👩🏽‍💻cd…", "ab👩🏽‍💻cde\u0301…"}


def test_marks_alone_are_cut_anywhere() -> None:
    assert wording.one_line("\u0301" * 50, longest=10) == "\u0301" * 9 + "…"


@pytest.mark.parametrize(
    ("key", "of", "shown"),
    [
        ("n", 2**53 + 1, "9,007,199,254,740,993"),
        ("n", 0.1 + 0.2, "0.30000000000000004"),
        ("n", 1e22, "1e+22"),
        ("n", 1e-7, "1e-07"),
        ("n", -0.0, "-0.0"),
        ("n", 1234567.125, "1,234,567.125"),
        ("digits", "00012345678901234567890", "00012345678901234567890"),
        ("text", "", '""'),
        ("none", None, "—"),
        ("flag", False, "no"),
        ("size_bytes", 3 * 1024**3, "3 GB"),
        ("size_bytes", 3 * 1024**3 + 1, "3 GB (3,221,225,473 bytes)"),
        ("size_bytes", 2**53 + 1, "8,192 TB (9,007,199,254,740,993 bytes)"),
        ("size_bytes", -1, "-1 bytes"),
        ("size_bytes", 10**400, f"{10**400:,}"),
        ("size_bytes", float("nan"), "nan"),
        ("took_s", 75, "1 min 15 s"),
        ("took_s", 93784, "1 d 2 h (93,784 s)"),
        ("took_s", 75.5, "1 min 15 s (75.5 s)"),
        ("took_s", 0.25, "0.25 s"),
        ("took_s", -90, "-90 s"),
        ("took_s", float("inf"), "inf"),
    ],
)
def test_no_value_is_rounded_into_another(key: str, of: object, shown: str) -> None:
    assert wording.value(key, of) == shown


@given(st.sampled_from(["n", "size_bytes", "took_s"]), st.lists(st.integers() | st.floats(), min_size=2, max_size=2))
def test_two_numbers_are_never_shown_alike(key: str, numbers: list[float]) -> None:
    one, other = numbers
    if repr(one) != repr(other):
        assert wording.value(key, one) != wording.value(key, other) or one == other


@pytest.mark.parametrize(
    ("key", "shown"), [("freed_bytes", "Freed"), ("bytes", "Size"), ("", '""'), ("_s", '"_s"'), ("a\u202eb", "Ab")]
)
def test_every_key_has_a_label(key: str, shown: str) -> None:
    assert wording.label(key) == shown


def test_a_terminal_shows_what_a_mail_leaves_out() -> None:
    result = (
        {"note": "", "none": None, "list": [], "object": {}} | {f"n{n}": 0 for n in range(7)} | {"ids": [*range(19)]}
    )
    [facts] = sections_of(result, everything=True)
    assert facts.rows[:4] == [("Note", '""'), ("None", "—"), ("List", "[]"), ("Object", "{}")]
    assert [value for _, value in facts.rows[4:11]] == ["0"] * 7
    assert facts.rows[11][1].endswith("9, 10, 11 and 7 more")
