"""A rendered mail: the subject, and a text part and an HTML part with the same content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from nightshift.notify.digest import describe_digest
from nightshift.notify.mail_content import Facts, MailContent, Section, Table, describe_alert, describe_run
from nightshift.notify.mail_html import render_html
from nightshift.notify.notices import DigestLine, Names, Notice

WIDTH = 76


@dataclass(frozen=True)
class Mail:
    subject: str
    text: str
    html: str


def render_mail(
    notice: Notice,
    *,
    names: Names,
    digested: Sequence[DigestLine] = (),
    log_lines: Sequence[Mapping[str, Any]] = (),
    dashboard_url: str,
) -> Mail:
    """Render the mail. A digest has one or more runs ``digested``. With an empty ``dashboard_url`` it has no link."""
    if digested:
        content = describe_digest(digested, team_id=notice.digest_of, names=names, dashboard_url=dashboard_url)
    elif notice.content:
        content = describe_alert(notice.content, dashboard_url=dashboard_url)
    elif notice.run:
        content = describe_run(notice.run, names=names, dashboard_url=dashboard_url, log_lines=log_lines)
    else:
        raise AssertionError("unreachable")
    return render_content(content)


def render_content(content: MailContent) -> Mail:
    return Mail(content.subject, render_text(content), render_html(content))


def render_text(content: MailContent) -> str:
    head = [content.title if content.title == content.subject else f"{content.title}: {content.badge.lower()}"]
    blocks = [
        "\n".join(head + [content.subtitle] * bool(content.subtitle)),
        *filter(None, [_wrapped(content.notice)]),
        *(_wrapped(paragraph) for paragraph in content.paragraphs),
        *(_section(section) for section in content.sections),
        *filter(None, [content.link]),
        # Mail programs recognise this line as the beginning of a signature.
        "-- \n" + _wrapped(content.reason),
    ]
    return "\n\n".join(blocks) + "\n"


def _section(section: Section) -> str:
    match section:
        case Facts(heading, rows, note):
            widest = max(len(label) for label, _ in rows)
            return "\n".join(
                [heading.upper(), *(f"{label:<{widest}}  {value}" for label, value in rows), *filter(None, [note])]
            )
        case Table(heading, columns, rows, note):
            widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
            lines = [
                "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                for row in [columns, *rows]
            ]
            return "\n".join([heading.upper(), *lines, *filter(None, [note])])


def _wrapped(text: str) -> str:
    # Links and ids are not broken, so that mail programs recognise them.
    return "\n".join(
        "\n".join(wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)) for line in text.split("\n")
    )
