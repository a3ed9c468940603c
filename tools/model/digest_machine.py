"""The digest machine: a team's mails beyond its share, the digest that reports them, and two notify functions.

The outbox machine proves that a mail is sent once. This machine proves that each mail is sent, or is in a digest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tools.model.cases import Cases, Knockout
from tools.model.checker import Step

UNSENT, SENT, DIGESTED, UNWANTED = "unsent", "sent", "digested", "unwanted"
NONE = -1


@dataclass(frozen=True)
class Rules:
    digest_closed: bool = True
    """The digest accepts no more lines before its lines are read."""
    digest_first: bool = True
    """While a digest waits, no mail takes a share."""
    digest_once: bool = True
    """The unique index job_outbox_open_digest."""
    digest_with_mail: bool = True
    """One statement creates or finds the digest and adds the mail as its line."""
    digest_unwanted: bool = True
    """A digest without lines is not sent."""
    digest_kept: bool = True
    """A run whose mail is a line of an unsent digest is not pruned."""
    share_locked: bool = True
    """A share is counted and taken under the lock of the team's row."""


class Digest(NamedTuple):
    status: str = UNSENT
    takes_more: bool = True
    waits: bool = True
    """It waits for the hour in which the team has a share again."""


# A function's position. The statement that takes a share also checks how many are left.
ASKS, TAKES, HAS_SHARE, HAS_NONE, ADDS, SENDS = "asks", "takes", "has a share", "has none", "adds a line", "sends"


class Notify(NamedTuple):
    """A function that handles the mail or the digest with this number."""

    of: str
    number: int
    at: str = ASKS
    lines: tuple[int, ...] = ()
    digest: int = NONE
    is_stale: bool = False
    """It froze until its claim expired, so others may claim its mail or digest."""


class State(NamedTuple):
    mails: tuple[str, ...]
    lines: tuple[int, ...]
    """The digest that each mail is a line of."""
    shares: int
    crashes: int
    digests: tuple[Digest, ...] = ()
    functions: tuple[Notify, ...] = ()


@dataclass(frozen=True)
class DigestMachine:
    rules: Rules = Rules()
    mails: int = 3
    shares: int = 1
    crashes: int = 1

    def starts(self) -> list[Step[State]]:
        return [Step("endings", State((UNSENT,) * self.mails, (NONE,) * self.mails, self.shares, self.crashes))]

    def steps(self, state: State, *, faults: bool = True) -> Iterator[Step[State]]:
        yield from self.pass_hour(state)
        yield from self.claim(state)
        yield from self.prune(state)
        for one in sorted(set(state.functions)):
            place = state.functions.index(one)
            rest = state._replace(functions=state.functions[:place] + state.functions[place + 1 :])
            name = f"{one.of} {one.number}"
            yield from self.act(rest, one, name)
            if faults and state.crashes and not one.is_stale:
                dead = rest._replace(crashes=state.crashes - 1)
                yield Step(f"{name}: CRASH", dead)
                yield Step(f"{name}: FREEZE until the claim is over", _at(dead, one, is_stale=True))

    def owes(self, state: State) -> bool:
        return UNSENT in state.mails or any(digest.status == UNSENT for digest in state.digests)

    def calm(self, state: State) -> State:
        return state._replace(crashes=0)

    def pass_hour(self, state: State) -> Iterator[Step[State]]:
        """Let an hour pass: the team has its share again."""
        if any(digest.waits for digest in state.digests) or state.shares < self.shares:
            digests = tuple(digest._replace(waits=False) for digest in state.digests)
            yield Step("an hour goes by", state._replace(digests=digests, shares=self.shares), "hour")

    def claim(self, state: State) -> Iterator[Step[State]]:
        """``claim_outbox.sql``, for a message from the ending or the sweep."""
        healthy = [one for one in state.functions if not one.is_stale]
        if len(healthy) == 2:
            return
        held = {(one.of, one.number) for one in healthy}
        due = [("mail", number) for number, status in enumerate(state.mails) if status == UNSENT]
        due += [("digest", i) for i, one in enumerate(state.digests) if one.status == UNSENT and not one.waits]
        for of, number in due:
            if (of, number) not in held:
                yield Step(f"{of} {number}: claim", _at(state, Notify(of, number)), f"claim {of} {number}")

    def prune(self, state: State) -> Iterator[Step[State]]:
        """``old_runs.sql``, ``prune_runs.sql``: delete a run when its mail, or the digest with its mail, was sent."""
        for mail, digest in enumerate(state.lines):
            is_waiting = digest != NONE and state.digests[digest].status == UNSENT
            if is_waiting and not self.rules.digest_kept:
                broken = "mail never told of: its run is deleted before the digest is sent"
                yield Step(f"mail {mail}: its run is pruned", state, broken=broken)

    def act(self, state: State, one: Notify, name: str) -> Iterator[Step[State]]:
        fair = "" if one.is_stale else name
        match one.at, one.of:
            case ("asks" | "takes", _):
                yield self.take_share(state, one, name, fair)
            case ("has a share", "mail"):
                mails = _changed(state.mails, one.number, SENT)
                yield Step(f"{name}: sent", state._replace(mails=mails), fair)
            case ("has a share", _):
                yield self.read_lines(state, one, name, fair)
            case ("has none", "mail"):
                yield self.add_line(state, one, name, fair)
            case ("has none", _):
                yield self.postpone(state, one, name, fair)
            case ("adds a line", _):
                yield self.add_line_late(state, one, name, fair)
            case _:
                yield self.send_digest(state, one, name, fair)

    def take_share(self, state: State, one: Notify, name: str, fair: str) -> Step[State]:
        """``take_mail_share.sql``: count and take a share in one statement; none for a mail while a digest waits."""
        digest_waits = any(digest.takes_more and digest.status == UNSENT for digest in state.digests)
        is_behind = one.of == "mail" and digest_waits
        if one.at == ASKS and (state.shares == 0 or (is_behind and self.rules.digest_first)):
            return Step(f"{name}: no share", _at(state, one, at=HAS_NONE), fair)
        if one.at == ASKS and not self.rules.share_locked:
            return Step(f"{name}: sees a share", _at(state, one, at=TAKES), fair)
        broken = "overtaken: a mail takes the share for which a digest waits" if is_behind else ""
        if state.shares == 0:
            broken = "too many mails: two functions took the same share"
        taken = _at(state, one, at=HAS_SHARE)._replace(shares=max(state.shares - 1, 0))
        return Step(f"{name}: takes a share", taken, fair, broken)

    def add_line(self, state: State, one: Notify, name: str, fair: str) -> Step[State]:
        """``digest_mail.sql``: add the mail to the open digest (``job_outbox_open_digest``) if it is still held."""
        waiting = [i for i, digest in enumerate(state.digests) if digest.takes_more and digest.status == UNSENT]
        broken = ""
        if waiting and self.rules.digest_once:
            digest, digests = waiting[0], state.digests
        else:
            digest, digests = len(state.digests), (*state.digests, Digest())
            broken = "two digests: for one recipient at once" if waiting else ""
        found = state._replace(digests=digests)
        if not self.rules.digest_with_mail:
            return Step(f"{name}: finds digest {digest}", _at(found, one, at=ADDS, digest=digest), fair, broken)
        others = [(other.of, other.number) for other in state.functions]
        is_own = state.mails[one.number] == UNSENT and not (one.is_stale and ("mail", one.number) in others)
        if not is_own:
            return Step(f"{name}: no row, digest {digest} stays", found, fair, broken)
        return Step(f"{name}: line of digest {digest}", _line(found, one.number, digest), fair, broken)

    def add_line_late(self, state: State, one: Notify, name: str, fair: str) -> Step[State]:
        """Add the line in a separate statement. By then the digest may have been sent."""
        is_over = state.digests[one.digest].status != UNSENT
        broken = "mail never told of: it is a line of a digest that was sent without it" if is_over else ""
        return Step(f"{name}: line of digest {one.digest}", _line(state, one.number, one.digest), fair, broken)

    def postpone(self, state: State, one: Notify, name: str, fair: str) -> Step[State]:
        """``postpone_digest.sql``: postpone the digest until the team has a share again."""
        waits = state.digests[one.number]._replace(waits=True)
        return Step(f"{name}: postponed", state._replace(digests=_changed(state.digests, one.number, waits)), fair)

    def read_lines(self, state: State, one: Notify, name: str, fair: str) -> Step[State]:
        """``close_digest.sql``, then ``list_digest.sql``."""
        closed = state.digests[one.number]._replace(takes_more=not self.rules.digest_closed)
        read = state._replace(digests=_changed(state.digests, one.number, closed))
        lines = tuple(mail for mail, digest in enumerate(state.lines) if digest == one.number)
        return Step(f"{name}: reads its lines", _at(read, one, at=SENDS, lines=lines), fair)

    def send_digest(self, state: State, one: Notify, name: str, fair: str) -> Step[State]:
        """``end_outbox_attempt.sql``: mark it as sent with the lines that it read, or as unwanted without lines."""
        if state.digests[one.number].status != UNSENT:
            return Step(f"{name}: no row", state, fair)
        is_wanted = one.lines or not self.rules.digest_unwanted
        missing = [mail for mail, digest in enumerate(state.lines) if digest == one.number and mail not in one.lines]
        broken = ""
        if missing:
            broken = "mail never told of: it is a line of a digest that was sent without it"
        elif is_wanted and not one.lines:
            broken = "empty digest: it tells of no run"
        over = state.digests[one.number]._replace(status=SENT if is_wanted else UNWANTED, takes_more=False)
        return Step(f"{name}: sent", state._replace(digests=_changed(state.digests, one.number, over)), fair, broken)


def _at(state: State, one: Notify, **then: Any) -> State:
    return state._replace(functions=tuple(sorted((*state.functions, one._replace(**then)))))


def _line(state: State, mail: int, digest: int) -> State:
    return state._replace(mails=_changed(state.mails, mail, DIGESTED), lines=_changed(state.lines, mail, digest))


def _changed(some: tuple[Any, ...], place: int, one: object) -> tuple[Any, ...]:
    return (*some[:place], one, *some[place + 1 :])


THREE_MAILS = DigestMachine()

CASES = Cases(
    rules=Rules,
    holds={"three mails, one share": THREE_MAILS},
    proofs={"four mails, two shares": DigestMachine(mails=4, shares=2)},
    knockouts=(
        Knockout(("digest_closed",), "mail never told of", 15, THREE_MAILS),
        Knockout(("digest_first",), "overtaken", 9, THREE_MAILS),
        Knockout(("digest_once",), "two digests", 9, THREE_MAILS),
        Knockout(("digest_with_mail",), "mail never told of", 13, THREE_MAILS),
        Knockout(("digest_unwanted",), "empty digest", 12, THREE_MAILS),
        Knockout(("digest_kept",), "mail never told of", 7, THREE_MAILS),
        Knockout(("share_locked",), "too many mails", 7, THREE_MAILS),
    ),
)
