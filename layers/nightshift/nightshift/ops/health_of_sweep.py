"""Does the sweep come, and does it heal what it finds?"""

from collections.abc import Callable
from functools import partial

from nightshift.database import Database
from nightshift.ops.checks import Check, count_of, green, red
from nightshift.set_aside import SLOW, trouble
from nightshift.wording import short_duration

# The sweep comes every minute: it is red when it missed its second turn, and so is what it has passed over twice.
SILENT_S, GRACE_S = 120, 150
# A queue this long behind, or a mail this long unsent, is nothing that heals by itself soon.
LONG_S = 900
SWEEP = "The sweep heals this once a minute: look at the log of SweepFunction, and whether its rule is enabled."


def questions_about_sweep(db: Database) -> dict[str, Callable[[], Check]]:
    return {
        "sweep": partial(_sweep, db),
        "set aside": partial(_set_aside, db),
        "endings": partial(_endings, db),
    }


def _sweep(db: Database) -> Check:
    ago_s = db.query("sweep_came")[0]["ago_s"]
    says = f"it came {short_duration(ago_s)} ago"
    if ago_s <= SILENT_S:
        return green("sweep", says)
    return red(
        "sweep",
        f"{says}; it should come every minute. Until it does, nothing lost is found",
        do="Look at the log of SweepFunction, and whether its rule is enabled.",
    )


def _set_aside(db: Database) -> Check:
    # Without an attempt that counts it was a lock, or a lost connection: the sweep tries it again in a minute.
    rows = [row for row in db.query("list_set_aside") if row["key"] != SLOW and row["attempts"]]
    if not rows:
        return green("set aside", "the sweep heals every row that it finds")
    first = rows[0]
    return red(
        "set aside",
        f"{count_of(len(rows), 'row')} cannot be healed. {trouble(first['healer'], first['key'])}: {first['error']} "
        f"(since {short_duration((first['now'] - first['since']).total_seconds())}, "
        f"{count_of(first['attempts'], 'attempt')})",
        do="Mend the cause; the sweep tries again within ten minutes. Missing rights: nightshift system doctor. All of "
        "them: SELECT * FROM job_set_aside;",
    )


def _endings(db: Database) -> Check:
    [found] = db.query("untold_endings")
    if not found["untold"]:
        return green("endings", "each is told")
    says = (
        f"{count_of(found['untold'], 'run')} ended without the mails and the event that it owes; the first, "
        f"{found['run_id']}, {short_duration(found['oldest_s'])} ago: {found['error']}"
    )
    if found["oldest_s"] < GRACE_S:
        return green("endings", says)
    return red("endings", says, do=f"Mend the cause. {SWEEP}")
