"""The outbox machine: one ending, its mail and messages, two notify functions, SES, the sweep and pruning.

An event with the announce function and EventBridge does the same: statements of several rows treat each by itself. A
claim that skips a locked row drops its message, as if the message had been lost on its way.

A notify function may die or freeze before SES takes the mail, after it, and after the outcome is stored. Times are
ticks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tools.model.cases import Cases, Knockout
from tools.model.checker import Step


@dataclass(frozen=True)
class Rules:
    written_with_ending: bool = True
    """The trigger announce_ending writes the mail in the ending's transaction."""
    untold_kept: bool = True
    """If a mail cannot be written, ``untold`` stores the reason, and the sweep calls tell_of_ending again."""
    one_per_run: bool = True
    """The unique index job_outbox_once."""
    claim_unsent: bool = True
    claim_unclaimed: bool = True
    """The claim requires that no other claim is still valid."""
    claim_retry_due: bool = True
    claim_moves_send: bool = True
    """The claim sets the time at which the sweep sends again if the function dies."""
    outcome_attempt: bool = True
    """The outcome is fenced by the number of the attempt."""
    send_due: bool = True
    """The sweep sends only rows that are due."""
    send_moves: bool = True
    """The sweep's statement sets the next time, so that two sweeps send only one message."""
    prune_told: bool = True
    """An ended run with an unwritten mail is not pruned."""
    prune_sent: bool = True
    """An ended run with an unsent mail is not pruned."""


@dataclass(frozen=True)
class Sizes:
    claim: int = 2
    retry: int = 1
    retry_most: int = 2
    first_send: int = 1
    resend_most: int = 2
    attempts: int = 2
    functions: int = 2
    copies: int = 2


class Run(NamedTuple):
    is_over: bool = False
    is_untold: bool = False
    is_gone: bool = False


class Mail(NamedTuple):
    """A row of job_outbox. ``send`` is None when the mail is over."""

    status: str = "unsent"
    send: int | None = 0
    resends: int = 0
    attempts: int = 0
    retry: int = 0
    claim: int = 0
    """Ticks for which another function's claim is valid; 0 means no claim."""


CLAIMING, SENDING, STORING = "claims", "sends", "stores"


class Notify(NamedTuple):
    at: str = CLAIMING
    attempt: int = 0
    outcome: str = ""
    is_uncounted: bool = False
    """SES has taken this attempt's mail, but ``unknown`` does not count it yet."""
    is_frozen: bool = False
    was_frozen: bool = False


class Faults(NamedTuple):
    lost: int = 1
    doubled: int = 1
    crashes: int = 1
    refusals: int = 1
    """Refusals by SES for a temporary reason."""
    unwritable: int = 1
    """Endings whose mail cannot be written."""


class State(NamedTuple):
    run: Run
    mail: Mail | None
    messages: int
    functions: tuple[Notify, ...]
    left: Faults
    sent: int = 0
    """The number of mails that SES took."""
    unknown: int = 0
    """Attempts without a stored outcome whose mail SES took or may still take."""
    waited: int = 0
    """Ticks since the ending, at most the sum of the back-offs."""
    just_sent: bool = False
    """The sweep has sent a message in this tick."""


NONE_LEFT = Faults(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class OutboxMachine:
    rules: Rules = Rules()
    sizes: Sizes = Sizes()
    faults: Faults = field(default=Faults())

    def starts(self) -> list[Step[State]]:
        return [Step("INSERT", State(Run(), None, 0, (), self.faults))]

    def steps(self, state: State, *, faults: bool = True) -> Iterator[Step[State]]:
        for event in (self.end, self.tell, self.pass_time, self.deliver, self.resend, self.prune):
            yield from event(state, faults)
        for i, one in enumerate(state.functions):
            if one in state.functions[:i]:
                continue
            rest = state.functions[:i] + state.functions[i + 1 :]
            if one.is_frozen:
                yield self._with(state, [*rest, one._replace(is_frozen=False)], f"THAW where it {one.at}")
                continue
            match one.at:
                case "claims":
                    yield self.claim(state, rest)
                case "sends":
                    yield from self.attempt(state, one, rest, faults)
                case _:
                    yield self.store(state, one, rest)
            if faults and state.left.crashes:
                yield from self.crash(state, one, rest)

    def owes(self, state: State) -> bool:
        """Return whether the mail is neither sent nor failed with a reason."""
        return not state.run.is_gone and (state.mail is None or state.mail.status == "unsent")

    def calm(self, state: State) -> State:
        return state._replace(left=NONE_LEFT)

    def end(self, state: State, faults: bool) -> Iterator[Step[State]]:
        """``announce_ending``, ``tell_of_ending`` in the transaction, then ``unsent_of_runs.sql`` and the message."""
        if state.run.is_over:
            return
        over = state._replace(run=Run(is_over=True))
        told = over._replace(mail=Mail(send=self.sizes.first_send))
        if not self.rules.written_with_ending and faults and state.left.crashes:
            # The mail would follow in a separate transaction.
            yield Step("ending COMMIT, CRASH", over._replace(left=_spend(state, "crashes")))
        if faults and state.left.unwritable:
            left = _spend(state, "unwritable")
            yield Step("ending, its mail unwritable", over._replace(run=self._untold(), left=left))
        yield from self._sends("ending", told, faults, fair="ending")

    def tell(self, state: State, faults: bool) -> Iterator[Step[State]]:
        """``untold_runs.sql``, ``tell_of_endings.sql``: write missing mails, only once (``job_outbox_once``)."""
        if not state.run.is_untold or state.run.is_gone:
            return
        told = state.run._replace(is_untold=False)
        mail = Mail(send=self.sizes.first_send)
        if faults:
            # The row was written by hand, or by a part of the ending that was kept. The index refuses a second row.
            yield Step("mail written, run still untold", state._replace(mail=state.mail or mail))
        broken = ""
        if state.mail and not self.rules.one_per_run:
            broken = "two mails of one run: to one recipient"
        then = state._replace(run=told, mail=state.mail or mail)
        yield from self._sends("sweep: tells", then, faults, fair="tell", broken=broken)

    def pass_time(self, state: State, faults: bool) -> Iterator[Step[State]]:
        """Let one tick pass. A function that neither died nor froze ends before its claim expires."""
        mail = state.mail
        if mail is None or not state.run.is_over:
            return
        if mail.claim == 1 and any(one.at != CLAIMING and not one.is_frozen for one in state.functions):
            return
        later = mail._replace(
            send=mail.send and mail.send - 1, retry=max(mail.retry - 1, 0), claim=max(mail.claim - 1, 0)
        )
        waited = min(state.waited + 1, self._patience())
        yield Step("tick", state._replace(mail=later, waited=waited, just_sent=False), "tick")

    def deliver(self, state: State, faults: bool) -> Iterator[Step[State]]:
        healthy = sum(not one.is_frozen for one in state.functions)
        if state.messages and healthy < self.sizes.functions:
            then = state._replace(messages=state.messages - 1)
            yield self._with(then, [*state.functions, Notify()], "deliver", "deliver")

    def claim(self, state: State, rest: tuple[Notify, ...]) -> Step[State]:
        """``claim_outbox.sql``: claim a mail that is unsent, due and not claimed. A deleted run has no mail."""
        mail, rules = state.mail, self.rules
        is_free = (
            mail is not None
            and (mail.status == "unsent" or not rules.claim_unsent)
            and (mail.retry == 0 or not rules.claim_retry_due)
            and (mail.claim == 0 or not rules.claim_unclaimed)
        )
        if mail is None or not is_free:
            return self._with(state, rest, "claim: no row, message dropped", "claim")
        number = mail.attempts + 1
        if number > self.sizes.attempts:
            outcome = "failed"
            broken = "" if state.waited >= self._patience() else "gave up early: copies of a message used the attempts"
        else:
            outcome, broken = "", ""
        delay = min(self.sizes.retry * 2 ** (number - 1), self.sizes.retry_most)
        send = delay if rules.claim_moves_send else None
        claimed = mail._replace(attempts=number, resends=0, claim=self.sizes.claim, retry=delay, send=send)
        function = Notify(STORING if outcome else SENDING, number, outcome)
        return self._with(state._replace(mail=claimed), [*rest, function], "claim", "claim", broken)

    def attempt(self, state: State, one: Notify, rest: tuple[Notify, ...], faults: bool) -> Iterator[Step[State]]:
        """Call SES: it takes the mail, refuses it temporarily or permanently, or its answer is lost."""
        broken = f"mail twice: {state.sent + 1} mails, and {state.unknown} functions or answers were lost"
        taken = state._replace(sent=min(state.sent + 1, 3))
        then = one._replace(at=STORING, outcome="sent", is_uncounted=not one.was_frozen)
        breaks = broken if state.sent > state.unknown else ""
        yield self._with(taken, [*rest, then], "SES takes the mail", "send", breaks)
        if faults and state.left.refusals:
            fewer = state._replace(left=_spend(state, "refusals"))
            for outcome in ("unsent", "failed"):
                then = one._replace(at=STORING, outcome=outcome)
                yield self._with(fewer, [*rest, then], f"SES refuses ({outcome})")
            then = one._replace(at=STORING, outcome="unsent", is_uncounted=not one.was_frozen)
            lost = taken._replace(left=fewer.left)
            yield self._with(lost, [*rest, then], "SES takes the mail, its answer LOST", broken=breaks)

    def store(self, state: State, one: Notify, rest: tuple[Notify, ...]) -> Step[State]:
        """``end_outbox_attempt.sql``, fenced by the attempt's number and ``unsent_is_sent_some_time``."""
        mail, rules = state.mail, self.rules
        is_own = mail is not None and (mail.attempts == one.attempt or not rules.outcome_attempt)
        if mail is None or mail.status != "unsent" or not is_own:
            unknown = state.unknown + one.is_uncounted
            return self._with(state._replace(unknown=min(unknown, 3)), rest, "outcome: no row", "store")
        broken = ""
        if mail.attempts != one.attempt:
            broken = f"another's outcome: attempt {one.attempt} says {one.outcome} for attempt {mail.attempts}"
        if one.outcome == "unsent":
            unknown = min(state.unknown + one.is_uncounted, 3)
            return self._with(state._replace(unknown=unknown), rest, "outcome: unsent", "store", broken)
        over = mail._replace(status=one.outcome, send=None, claim=0, retry=0, resends=0)
        if rules.claim_unsent:
            # No claim takes a message of a mail that is over. Drop them, so that equivalent states count once.
            rest = tuple(other for other in rest if other.at != CLAIMING)
            state = state._replace(messages=0)
        return self._with(state._replace(mail=over), rest, f"outcome: {one.outcome}", "store", broken)

    def crash(self, state: State, one: Notify, rest: tuple[Notify, ...]) -> Iterator[Step[State]]:
        """Let the function die or freeze. SQS delivers its message again."""
        left = _spend(state, "crashes")
        messages = min(state.messages + 1, self.sizes.copies)
        dead = state._replace(left=left, messages=messages, unknown=min(state.unknown + one.is_uncounted, 3))
        yield self._with(dead, rest, f"CRASH where it {one.at}")
        # Between claim and call, it may still send when it thaws, long after another function has sent the mail.
        may_send = one.at == SENDING and not one.was_frozen
        left_open = dead._replace(unknown=min(dead.unknown + may_send, 3))
        frozen = one._replace(is_frozen=True, was_frozen=True, is_uncounted=False)
        yield self._with(left_open, [*rest, frozen], f"FREEZE where it {one.at}")

    def resend(self, state: State, faults: bool) -> Iterator[Step[State]]:
        """``unsent_notices.sql``, ``claim_unsent.sql``: send with back-off, and set the next time in one statement."""
        mail = state.mail
        if mail is None or mail.send is None or (mail.send and self.rules.send_due):
            return
        broken = "message before its time: the sweep sends what is not due" if mail.send else ""
        if state.just_sent:
            broken = "message twice: two sweeps at once send for one row"
        delay = min(2**mail.resends, self.sizes.resend_most)
        send = delay if self.rules.send_moves else mail.send
        resends = mail.resends + 1 if delay < self.sizes.resend_most else mail.resends
        then = state._replace(mail=mail._replace(send=send, resends=resends), just_sent=not self.rules.send_moves)
        yield from self._sends("sweep: sends", then, faults, fair="sweep send", broken=broken)

    def prune(self, state: State, faults: bool) -> Iterator[Step[State]]:
        """``old_runs.sql``, ``prune_runs.sql``: delete an ended run and its mails, unless a mail is not sent yet."""
        mail = state.mail
        is_unsent = mail is not None and mail.send is not None
        if not state.run.is_over or state.run.is_gone:
            return
        if (state.run.is_untold and self.rules.prune_told) or (is_unsent and self.rules.prune_sent):
            return
        broken = ""
        if mail is None or mail.status == "unsent":
            broken = "mail lost: the run is deleted, and its mail was never sent"
        yield Step("prune", state._replace(run=Run(True, False, True), mail=None), broken=broken)

    def _untold(self) -> Run:
        return Run(is_over=True, is_untold=self.rules.untold_kept)

    def _patience(self) -> int:
        """Return the ticks that all attempts take, with their back-offs."""
        return sum(min(self.sizes.retry * 2**i, self.sizes.retry_most) for i in range(self.sizes.attempts))

    def _sends(self, label: str, state: State, faults: bool, *, fair: str, broken: str = "") -> Iterator[Step[State]]:
        most = self.sizes.copies
        yield Step(f"{label}, send", state._replace(messages=min(state.messages + 1, most)), fair, broken)
        if faults and state.left.lost:
            yield Step(f"{label}, send LOST", state._replace(left=_spend(state, "lost")), broken=broken)
        if faults and state.left.doubled:
            twice = state._replace(messages=min(state.messages + 2, most), left=_spend(state, "doubled"))
            yield Step(f"{label}, send TWICE", twice, broken=broken)

    def _with(
        self, state: State, functions: Iterator[Notify] | list[Notify] | tuple[Notify, ...], label: str, fair: str = "",
        broken: str = "",
    ) -> Step[State]:  # fmt: skip
        return Step(label, state._replace(functions=tuple(sorted(functions))), fair, broken)


def _spend(state: State, fault: str) -> Faults:
    left: int = getattr(state.left, fault)
    return state.left._replace(**{fault: left - 1})


OF_EACH = OutboxMachine()
LONG_RETRY = OutboxMachine(sizes=Sizes(claim=1, retry=2), faults=Faults(lost=0, doubled=2, refusals=2, unwritable=0))

CASES = Cases(
    rules=Rules,
    holds={"of each fault one": OF_EACH, "retries longer than a claim": LONG_RETRY},
    proofs={"of each fault one, and two crashes": OutboxMachine(faults=Faults(crashes=2))},
    knockouts=(
        Knockout(("written_with_ending",), "mail lost", 3, OF_EACH),
        Knockout(("untold_kept",), "mail lost", 3, OF_EACH),
        Knockout(("one_per_run",), "two mails of one run", 4, OF_EACH),
        Knockout(("claim_unsent",), "mail twice", 9, OF_EACH),
        Knockout(("claim_unclaimed",), "mail twice", 9, OF_EACH),
        Knockout(("claim_retry_due",), "gave up early", 13, LONG_RETRY),
        Knockout(("claim_moves_send",), "mail lost", 5, OF_EACH),
        Knockout(("outcome_attempt",), "another's outcome", 12, OF_EACH),
        Knockout(("send_due",), "message before its time", 3, OF_EACH),
        Knockout(("send_moves",), "message twice", 5, OF_EACH),
        Knockout(("prune_told",), "mail lost", 3, OF_EACH),
        Knockout(("prune_sent",), "mail lost", 3, OF_EACH),
    ),
)
