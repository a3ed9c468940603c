"""The HTML part: tables and inline styles, because mail programs support those; light and dark, from 320 pixels.

Colours that change in dark mode also have a class, for programs that support ``<style>``.
"""

import re
from collections.abc import Iterable
from html import escape

from nightshift.notify.mail_content import Facts, MailContent, Section, Table

# Text and background colour of each tone, in light mode.
TONES = {
    "completed": ("#14683f", "#e2f4ea"),
    "failed": ("#a8271f", "#fde8e6"),
    "cancelled": ("#4a5361", "#e9ecf0"),
    "warning": ("#7d5200", "#fdf0d2"),
}
FONT = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
NUMERIC = re.compile(r"[\d.,]+( (bytes|kB|MB|GB|TB|d|h|min|s)\b.*)?|—")


class Html(str):
    """Markup. Any other str is plain text and must be escaped."""


def fill(markup: str, **values: str) -> Html:
    """Fill in the {names} of ``markup``, escaping values that are not markup."""
    safe = {name: value if isinstance(value, Html) else escape(value) for name, value in values.items()}
    return Html(markup.format(**safe))


def render_html(content: MailContent) -> str:
    ink, ground = TONES[content.tone]
    return fill(
        PAGE,
        style=STYLE,
        font=Html(FONT),
        ink=Html(ink),
        ground=Html(ground),
        tone=content.tone,
        subject=content.subject,
        preheader=content.preheader,
        badge=content.badge,
        title=content.title,
        subtitle=fill(SUBTITLE, subtitle=content.subtitle) if content.subtitle else Html(),
        notice=_notice(content),
        paragraphs=_joined(fill(PARAGRAPH, text=_broken(text)) for text in content.paragraphs),
        sections=_joined(_section(section) for section in content.sections),
        button=fill(BUTTON, link=content.link, text=content.link_text) if content.link else Html(),
        reason=content.reason,
    )


def _notice(content: MailContent) -> Html:
    if not content.notice:
        return Html()
    ink, ground = TONES[content.tone]
    return fill(NOTICE, ink=Html(ink), ground=Html(ground), tone=content.tone, text=_broken(content.notice))


def _section(section: Section) -> Html:
    match section:
        case Facts(heading, rows, note):
            body = _joined(fill(FACT, label=label, value=value) for label, value in rows)
            return fill(SECTION, heading=heading, body=body, note=_note(note))
        case Table(heading, columns, rows, note):
            sides = [_side([row[i] for row in rows]) for i in range(len(columns))]
            head = _row(HEAD, columns, sides)
            body = _joined(_row(CELL, row, sides) for row in rows)
            return fill(
                SECTION, heading=heading, body=Html(head + body), note=fill(NOTE, text=note) if note else Html()
            )


def _note(note: str) -> Html:
    return fill(NOTE, text=note) if note else Html()


def _row(markup: str, cells: list[str], sides: list[Html]) -> Html:
    gaps = [Html("0"), *[Html("12px")] * (len(cells) - 1)]
    filled = (fill(markup, text=text, side=side, gap=gap) for text, side, gap in zip(cells, sides, gaps, strict=True))
    return fill("<tr>{cells}</tr>", cells=_joined(filled))


def _side(cells: list[str]) -> Html:
    return Html("right" if all(NUMERIC.fullmatch(cell) for cell in cells) else "left")


def _broken(text: str) -> Html:
    return Html(escape(text).replace("\n", "<br>"))


def _joined(parts: Iterable[Html]) -> Html:
    return Html("".join(parts))


STYLE = Html("""
:root { color-scheme: light dark; supported-color-schemes: light dark; }
body { margin: 0; padding: 0; }
a { text-decoration: none; }
@media (max-width: 480px) {
  .outer { padding: 0 !important; }
  .card { border-radius: 0 !important; border-left: 0 !important; border-right: 0 !important; }
  .inner { padding-left: 20px !important; padding-right: 20px !important; }
  .button { display: block !important; text-align: center !important; }
}
@media (prefers-color-scheme: dark) {
  .page { background: #0e1116 !important; }
  .card { background: #171b22 !important; border-color: #2a303a !important; }
  .text { color: #e7eaee !important; }
  .soft { color: #98a2b0 !important; }
  .line { border-color: #2a303a !important; }
  .completed { color: #7fdcae !important; background: #15301f !important; border-color: #2f6d4b !important; }
  .failed { color: #ffaaa2 !important; background: #3a1a18 !important; border-color: #8c3a33 !important; }
  .cancelled { color: #c3cad4 !important; background: #262c36 !important; border-color: #4a5361 !important; }
  .warning { color: #f3c969 !important; background: #332708 !important; border-color: #7a5d17 !important; }
  .button { background: #e7eaee !important; color: #12161c !important; }
}
""")

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no, date=no, address=no, email=no">
<title>{subject}</title>
<style>{style}</style>
</head>
<body class="page" style="margin:0;padding:0;background:#eef0f3;-webkit-text-size-adjust:100%">
<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">{preheader}</div>
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" style="background:#eef0f3">
<tr><td class="outer" align="center" style="padding:32px 12px">
<table role="presentation" class="card" width="560" cellpadding="0" cellspacing="0" style="width:100%;max-width:560px;\
background:#ffffff;border:1px solid #dde1e7;border-collapse:separate;border-radius:12px;{font}">
<tr><td class="inner" style="padding:28px 32px 8px">
<p class="soft" style="margin:0 0 20px;font-size:13px;line-height:18px;letter-spacing:.02em;\
color:#667080">Nightshift</p>
<p style="margin:0 0 10px;font-size:13px;line-height:20px"><span class="{tone}" style="display:inline-block;\
padding:2px 10px;border-radius:10px;font-weight:600;color:{ink};background:{ground}">{badge}</span></p>
<h1 class="text" style="margin:0;font-size:23px;line-height:30px;font-weight:650;color:#14181f;\
overflow-wrap:anywhere">{title}</h1>
{subtitle}</td></tr>
<tr><td class="inner" style="padding:8px 32px 4px">{notice}{paragraphs}{sections}{button}</td></tr>
<tr><td class="inner" style="padding:20px 32px 26px"><p class="soft" style="margin:0;font-size:12px;line-height:18px;\
color:#667080">{reason}</p></td></tr>
</table>
</td></tr>
</table>
</body>
</html>
"""

SUBTITLE = """<p class="soft" style="margin:4px 0 0;font-size:15px;line-height:22px;color:#667080;\
overflow-wrap:anywhere">{subtitle}</p>
"""

NOTICE = """<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="margin:12px 0 4px">
<tr><td class="{tone}" style="padding:12px 16px;border-left:3px solid {ink};border-radius:6px;background:{ground};\
color:{ink};font-size:15px;line-height:22px;overflow-wrap:anywhere">{text}</td></tr></table>
"""

PARAGRAPH = """<p class="text" style="margin:12px 0 4px;font-size:15px;line-height:23px;color:#14181f;\
overflow-wrap:anywhere">{text}</p>
"""

SECTION = """<h2 class="soft" style="margin:24px 0 6px;font-size:12px;line-height:18px;font-weight:600;\
letter-spacing:.06em;text-transform:uppercase;color:#667080">{heading}</h2>
<table width="100%" cellpadding="0" cellspacing="0" style="border-collapse:collapse">{body}</table>
{note}"""

FACT = """<tr><td class="soft line" valign="top" width="34%" style="padding:7px 16px 7px 0;\
border-top:1px solid #e6e9ee;font-size:14px;line-height:20px;color:#667080">{label}</td>\
<td class="text line" valign="top" style="padding:7px 0;border-top:1px solid #e6e9ee;font-size:14px;line-height:20px;\
color:#14181f;overflow-wrap:anywhere;font-variant-numeric:tabular-nums">{value}</td></tr>
"""

HEAD = """<th class="soft line" align="{side}" style="padding:7px 0 7px {gap};border-top:1px solid #e6e9ee;\
font-size:13px;line-height:18px;font-weight:500;color:#667080;text-align:{side}">{text}</th>"""

CELL = """<td class="text line" align="{side}" valign="top" style="padding:7px 0 7px {gap};\
border-top:1px solid #e6e9ee;font-size:14px;line-height:20px;color:#14181f;text-align:{side};overflow-wrap:anywhere;\
font-variant-numeric:tabular-nums">{text}</td>"""

NOTE = """<p class="soft" style="margin:6px 0 0;font-size:13px;line-height:18px;color:#667080">{text}</p>
"""

BUTTON = """<p style="margin:26px 0 4px"><a class="button" href="{link}" style="display:inline-block;padding:10px 18px;\
border-radius:8px;background:#14181f;color:#ffffff;font-size:15px;line-height:22px;font-weight:600;\
text-decoration:none">{text}</a></p>
"""
