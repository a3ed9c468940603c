"""Mail addresses: several in one setting, with names, with domains in every script, and invalid ones."""

import re

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.base.addresses import BadAddress, addresses_in, ascii_address
from nightshift.base.validation import is_mail_address
from tests.template.reading import TEMPLATE


@pytest.mark.parametrize(
    ("written", "for_ses"),
    [
        ("ada@example.com", "ada@example.com"),
        (" Ada.Lovelace+jobs@Example.COM ", "Ada.Lovelace+jobs@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
        # Combining characters, which some keyboards produce.
        ("ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"),
        # Not the domain strasse.example, which may belong to others.
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("ada@例え。テスト", "ada@xn--r8jz45g.xn--zckzah"),
        ("ada@مثال.إختبار", "ada@xn--mgbh0fb.xn--kgbechtv"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("Ada Lovelace <ada@example.com>", "ada@example.com"),
        ('"Lovelace, Ada" <ada@bücher.example>', "ada@xn--bcher-kva.example"),
        ("o'brien_!#$%&*/=?^`{|}~-@example.com", "o'brien_!#$%&*/=?^`{|}~-@example.com"),
        # Against the standard, but mail is delivered there.
        ("ada..lovelace.@example.com", "ada..lovelace.@example.com"),
    ],
)
def test_what_is_one_is_written_as_ses_takes_it(written, for_ses):
    assert ascii_address(written) == for_ses
    assert is_mail_address(written)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "is not a mail address like"),
        ("ada", "is not a mail address like"),
        ("ada@", "is not a valid domain name"),
        ("@example.com", "is not allowed before the @"),
        ("ada@b@example.com", "is not a mail address like"),
        ("ada lovelace@example.com", "is not allowed before the @"),
        ("ada@exam ple.com", "is not a valid domain name"),
        ("ada@example..com", "is not a valid domain name"),
        ("ada@.com", "is not a valid domain name"),
        ("ada@-a.example", "is not a valid domain name"),
        ("ada@a_b.example", "is not a valid domain name"),
        ("ada@[127.0.0.1]", "is not a valid domain name"),
        ("ada@💌.example", "is not a valid domain name"),
        (f"ada@{'a' * 64}.example", "is not a valid domain name"),
        (f"ada@{'ü' * 63}.example", "is not a valid domain name"),
        (f"ada@{'a.' * 126}example", "is not a valid domain name"),
        (f"{'a' * 65}@example.com", "is not allowed before the @"),
        ("жанна@example.com", "SES accepts only ASCII characters before the @"),
        ("ada@example.com\r\nBcc: all@example.com", "is not a mail address like"),
        ("ada\n@example.com", "is not a mail address like"),
        ("ada@example.com\x00", "is not a mail address like"),
        ("Ada\r\nBcc: x <ada@example.com\r\n>", "is not"),
        ("ada@\ud800.example", "is not"),
        ("a@b.example, c@d.example", "is not a mail address like"),
        ("<ada@example.com", "is not"),
    ],
)
def test_what_is_none_is_told_in_words(written, said):
    with pytest.raises(BadAddress, match=said):
        ascii_address(written)
    assert not is_mail_address(written)


@given(st.text())
def test_nothing_else_is_ever_raised_and_the_rest_is_ascii_on_one_line(text):
    for written in (text, f"ada@{text}", f"{text}@example.com"):
        try:
            address = ascii_address(written)
        except BadAddress:
            continue
        assert address.isascii()
        assert address.isprintable()
        assert " " not in address


@given(st.text(st.characters(categories=["Ll", "Lo"], max_codepoint=0x9FFF), min_size=1, max_size=20))
def test_a_domain_is_encoded_as_idna_has_it(label):
    try:
        expected = idna.encode(label, uts46=True).decode()
    except idna.IDNAError:
        return
    if "." not in expected:
        assert ascii_address(f"ada@{label}.example") == f"ada@{expected}.example"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" , ; ", []),
        ("a@x.example", ["a@x.example"]),
        ("a@x.example,b@x.example", ["a@x.example", "b@x.example"]),
        (" a@x.example ; b@x.example;, ", ["a@x.example", "b@x.example"]),
        ("a@x.example,\n\tb@x.example", ["a@x.example", "b@x.example"]),
        ("a@x.example, A@X.example", ["a@x.example"]),
        ('"Doe; Jane, MD" <a@x.example>, Bob <b@x.example>', ["a@x.example", "b@x.example"]),
        ("a@x.example b@x.example", ["a@x.example b@x.example"]),
        ("a@x.example, nobody", ["a@x.example", "nobody"]),
    ],
)
def test_several_in_one_setting(text, found):
    assert addresses_in(text) == found


@pytest.mark.parametrize(
    ("parameter", "taken", "refused"),
    [
        (
            "SystemJobsAlertEmail",
            ["", "a@x.example", "a@x.example,b@x.example", "a@x.example; b@x.example;", "ada@bücher.example , b@x.y"],
            ["a", "a@", "@b", "a@x.example b@x.example", "a@x.example,b", "a b@x.example", "Ada <a@x.example>"],
        ),
        (
            "MailFrom",
            ["", "a@x.example", "ada+jobs@xn--bcher-kva.example"],
            ["a", "a@b c", "a@b,c@d", "a@b;c@d", "Ada <a@x.example>", "ada@bücher.example", "a@b\n"],
        ),
    ],
)
def test_the_template_takes_addresses_alone(parameter, taken, refused):
    pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"]
    assert [text for text in taken if not re.fullmatch(pattern, text)] == []
    assert [text for text in refused if re.fullmatch(pattern, text)] == []
    assert TEMPLATE["Parameters"][parameter]["ConstraintDescription"]
