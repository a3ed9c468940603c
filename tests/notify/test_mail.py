"""The content of mails, in which no value can be more than text."""

import uuid
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.base import wording
from nightshift.database.run_row import RunRow
from nightshift.database.typed_rows import typed
from nightshift.notify import mail_content
from nightshift.notify.mail import render_mail
from nightshift.notify.notices import Names, Notice

STARTED = datetime(2026, 11, 23, 3, 0, 12, tzinfo=UTC)
RUN_ID = "4b0c1f9e-6f0a-4f5e-9a55-3f2b1c0d9e77"


def row(**fields):
    """Return the mail of a completed run, as claim_outbox.sql returns it, with the names of its project and team."""
    unset = dict.fromkeys((*RunRow._fields, *Notice._fields))
    return (
        unset
        | {
            "id": uuid.UUID(RUN_ID),
            "kind": "mail",
            "job_type": "revenuecat_sync",
            "status": "completed",
            "triggered_by": "manual:user:0",
            "progress": {"processed": 1000, "total": 1000, "message": "Synced 962 users, 38 skipped"},
            "result": {"synced": 962},
            "error": None,
            "started_at": STARTED,
            "completed_at": STARTED + timedelta(seconds=192),
            "project_id": "p",
            "project": "Space Rocks",
            "team": "Acme Games",
        }
        | fields
    )


def alert(subject="A slot was missed", *lines):
    return {"id": None, "content": {"subject": subject, "lines": list(lines)}}


def mail(dashboard_url="https://dash.example/", **fields):
    made = row(**fields)
    return render_mail(typed(Notice, made), names=typed(Names, made), dashboard_url=dashboard_url)


class Seen(HTMLParser):
    """``tags`` with their attributes, in order; ``text`` between them, without the style."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self._in_style = [], "", False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, [(name, value) for name, value in attrs if name != "align"]))
        self._in_style = tag == "style"

    def handle_endtag(self, tag):
        self.tags.append(("/" + tag, []))
        self._in_style = False

    def handle_data(self, data):
        self.text += "" if self._in_style else data

    def handle_comment(self, data):
        self.tags.append(("comment", data))

    handle_decl = handle_pi = unknown_decl = handle_comment


class TestWhatItSays:
    def test_a_completed_run(self):
        made = mail()
        assert made.subject == "RevenueCat Sync completed: Space Rocks"
        for part in (made.text, Seen(made.html).text):
            for said in ("Space Rocks · Acme Games", "Synced 962 users, 38 skipped", "1,000 of 1,000", "3 min 12 s"):
                assert said in part
            assert "23 Nov 2026, 03:00:12 UTC" in part
            assert RUN_ID in part
        link = f"https://dash.example/runs/{RUN_ID}"
        assert link in made.text
        assert f'href="{link}"' in made.html

    def test_a_failed_run_says_why_before_all_else(self):
        made = mail(status="failed", result=None, error="The key was refused.\nStore another.")
        assert made.subject == "RevenueCat Sync failed: Space Rocks"
        assert made.text.index("The key was refused.") < made.text.index("Duration")
        assert "The key was refused.<br>Store another." in made.html
        # Hidden at the beginning, where a mailbox shows it beside the subject.
        assert made.html.index("The key was refused. Store another.") < made.html.index("<h1")

    def test_a_cancelled_run_that_never_started(self):
        made = mail(status="cancelled", result=None, progress=None, started_at=None)
        assert made.subject == "RevenueCat Sync cancelled: Space Rocks"
        assert "Never started" in made.text
        assert "Progress" not in made.text

    def test_a_system_run_with_a_warning(self):
        made = mail(project_id=None, project=None, team=None, job_type="db_pruning", result={"warning": "6 GB over"})
        assert made.subject == "Database Pruning completed with a warning"
        assert made.text.index("6 GB over") < made.text.index("Duration")
        assert made.text.count("6 GB over") == 1
        assert "None" not in made.text
        assert "/runs/" not in made.html + made.text

    def test_an_alert(self):
        made = mail(**alert("6 slots were missed", "The rule did not fire.", "Enable it."))
        assert made.subject == "6 slots were missed"
        for part in (made.text, Seen(made.html).text):
            assert "The rule did not fire." in part
            assert "Enable it." in part

    def test_no_dashboard_no_link(self):
        made = mail(dashboard_url="")
        assert "href" not in made.html
        assert "/runs/" not in made.text

    def test_a_job_type_that_this_release_does_not_know(self):
        assert mail(job_type="moon_landing").subject == "moon_landing completed: Space Rocks"

    @pytest.mark.parametrize(
        ("triggered_by", "said"),
        [
            ("manual:user:1", "You"),
            ("manual:api_key:1", "Your API key"),
            ("schedule", "Schedule"),
            ("other", "Unknown"),
        ],
    )
    def test_who_started_it(self, triggered_by, said):
        assert f"Started by  {said}\n" in mail(triggered_by=triggered_by).text


class TestResults:
    def test_units_nesting_and_lists(self):
        facts, table = mail_content.sections_of(
            {
                "freed_bytes": 44_239_000_000,
                "took_s": 3_900,
                "rows": 1234567,
                "share": 0.5,
                "done": True,
                "events": {"deleted": 12_000},
                "deep": {"a": {"b": [1]}},
                "ids": [f"u{i}" for i in range(15)],
                "nothing": [],
                "warning": "shown elsewhere",
                "partitions": [{"name": "events_2024_11", "size_bytes": 1024, "rows": 5}],
            }
        )
        assert facts.rows == [
            ("Freed", "41.2 GB (44,239,000,000 bytes)"),
            ("Took", "1 h 5 min"),
            ("Rows", "1,234,567"),
            ("Share", "0.5"),
            ("Done", "yes"),
            ("Events: deleted", "12,000"),
            ("Deep: a", '{"b": [1]}'),
            ("Ids", "u0, u1, u2, u3, u4, u5, u6, u7, u8, u9, u10, u11 and 3 more"),
        ]
        assert table == mail_content.Table("Partitions", ["Name", "Size", "Rows"], [["events_2024_11", "1 kB", "5"]])

    def test_bytes_are_sizes_wherever_a_job_names_them(self):
        facts, table = mail_content.sections_of(
            {
                "bytes_freed": 24_373_939_404,
                "dropped": [{"partition": "events_2024_11", "bytes": 1024, "about_rows": 5}],
            }
        )
        assert facts.rows == [("Freed", "22.7 GB (24,373,939,404 bytes)")]
        assert table == mail_content.Table(
            "Dropped", ["Partition", "Size", "About rows"], [["events_2024_11", "1 kB", "5"]]
        )
        pruned = mail(
            job_type="db_pruning", project_id=None, progress={"processed": 1024, "total": 2048, "message": ""}
        )
        assert "Progress    1 kB of 2 kB (50 %)" in pruned.text

    def test_a_result_that_is_mostly_zeros_says_what_was_done(self):
        counts = dict.fromkeys(("teams", "projects", "apps", "api_keys", "app_users", "events", "job_runs"), 0)
        [facts] = mail_content.sections_of(counts | {"restored": []})
        assert facts.rows == [("Outcome", "Nothing had to be done")]
        [facts] = mail_content.sections_of(counts | {"events": 12})
        assert facts.rows == [("Events", "12")]
        [facts] = mail_content.sections_of({"synced": 5, "skipped": 0, "errors": 0})
        assert len(facts.rows) == 3

    def test_what_is_too_long_is_cut_and_said_so(self):
        [table] = mail_content.sections_of({"partitions": [{key: 1 for key in "abcdef"} for _ in range(400)]})
        assert len(table.rows) == mail_content.MAX_LISTED
        assert table.note == "The run's result holds 388 more rows and the columns E, F."
        [facts] = mail_content.sections_of({f"key_{number}": number for number in range(100)})
        assert (len(facts.rows), facts.note) == (mail_content.MAX_FACTS, "The run's result holds 60 more values.")
        assert "388 more rows" in mail(result={"partitions": [{key: 1 for key in "abcdef"} for _ in range(400)]}).text

    def test_the_largest_result_fits_into_what_gmail_shows(self):
        """Gmail cuts a message at 102 kB."""
        for result in ({f"k{i}": "<" * 9 for i in range(900)}, {"list": [{"a": "<" * 99} for _ in range(150)]}):
            assert len(mail(result=result).html.encode()) < 102_000


class TestWording:
    @pytest.mark.parametrize(
        ("seconds", "said"),
        [
            *[(0, "less than a second"), (1, "1 s"), (59.9, "59 s"), (60, "1 min"), (192, "3 min 12 s")],
            *[(3600, "1 h"), (3605, "1 h"), (3660, "1 h 1 min"), (90_000, "1 d 1 h"), (86_460, "1 d")],
        ],
    )
    def test_durations(self, seconds, said):
        assert wording.duration(seconds) == said

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [
            (-1, "0 s"),
            (0.9, "0 s"),
            (59.9, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (86_399, "23 h"),
            (172_800, "2 d"),
        ],
    )
    def test_short_durations(self, seconds, said):
        assert wording.short_duration(seconds) == said

    @pytest.mark.parametrize(
        ("size", "said"),
        [(0, "0 bytes"), (1023, "1,023 bytes"), (1536, "1.5 kB"), (5 * 2**30, "5 GB"), (3 * 2**50, "3,072 TB")],
    )
    def test_sizes(self, size, said):
        assert wording.size(size) == said

    @given(st.integers(1, 10**9))
    def test_a_duration_drops_less_than_its_second_unit_and_adds_nothing(self, seconds):
        words, lengths = wording.duration(seconds).split(), dict(wording.UNITS)
        said = sum(int(count) * lengths[unit] for count, unit in zip(words[::2], words[1::2], strict=True))
        assert 0 <= seconds - said < max(60, seconds / 24)


HOSTILE = st.text() | st.sampled_from(
    [
        "</title><script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "{style}{0}{",
        "<!-- ",
        "]]>",
        "Bcc: all@x\r\nSubject: y",
        "\u202egnp.exe",
        "&lt;",
        "a\u2028b",
        "\x00\x1b[31m",
    ]
)


class TestNothingIsMoreThanText:
    @given(HOSTILE, HOSTILE, HOSTILE)
    def test_the_markup_is_the_same_whatever_the_values_are(self, name, error, value):
        def made(name, error, value):
            return mail(
                project=name,
                status="failed",
                error=error,
                progress={"processed": 1, "total": 2, "message": value},
                result={"key": value, "list": [{"a": value}, {"a": name}]},
            )

        hostile, harmless = made(f"x{name}", f"x{error}x", f"x{value}"), made("x", "x", "x")
        # Only an error's own line breaks may add a tag.
        tags = [tag for tag in Seen(hostile.html).tags if tag[0] != "br"]
        assert tags == Seen(harmless.html).tags

    @given(HOSTILE, HOSTILE)
    def test_keys_of_a_result_are_text_too(self, key, inner):
        def made(key, inner):
            return mail(result={f"x{key}": 1, "object": {f"x{inner}": 2}, "list": [{f"x{inner}": "a"}]})

        assert Seen(made(key, inner).html).tags == Seen(made("", "").html).tags

    @given(HOSTILE)
    def test_a_subject_is_one_line(self, text):
        for made in (mail(project=text), mail(**alert(text)), mail(job_type=text)):
            assert wording.visible(made.subject) == made.subject
            assert len(made.subject) <= mail_content.MAX_SUBJECT
            assert made.subject == made.subject.strip()

    @given(HOSTILE)
    def test_the_text_part_holds_no_control_characters(self, text):
        made = mail(project=text, error=text, status="failed", result={"key": text, text: text})
        assert all(wording.visible(line) == line for line in made.text.split("\n"))
