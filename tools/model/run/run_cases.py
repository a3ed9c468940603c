"""The run machine's cases: sizes and faults whose states can be searched in a second, and each rule left out."""

from tools.model.cases import Cases, Knockout
from tools.model.checker import Step
from tools.model.run import RunMachine
from tools.model.run.run_state import Faults, Rules, Sizes, State

OF_EACH = RunMachine()
HELD = RunMachine(sizes=Sizes("s"), faults=Faults(doubled=1, cancels=1, holds=1))
BUSY = RunMachine(sizes=Sizes("sw"), faults=Faults(crashes=1, exceptions=1, cleanups=1))
TWO_CRASHES = RunMachine(sizes=Sizes("ss"), faults=Faults(crashes=2, cancels=1))
LONG_WAIT = RunMachine(sizes=Sizes(wait=5))
LONG_LEASE = RunMachine(sizes=Sizes(lease=3), faults=Faults(crashes=1, cancels=1))
TIME_OVER = RunMachine(sizes=Sizes(duration=3), faults=Faults(crashes=1, cancels=1))
TO_AND_FRO = RunMachine(sizes=Sizes(job="ll", wait=1, duration=5), faults=Faults(lost=1))
POISON = RunMachine(sizes=Sizes(job="sp"), faults=Faults(lost=1))
POISON_TO_AND_FRO = RunMachine(sizes=Sizes(job="kk", lost_ceiling=3), faults=Faults(lost=1))

UNCHECKED = RunMachine(sizes=Sizes(checked=False), faults=Faults(lost=1, crashes=1, cancels=1))

# Random schedules have more messages, workers and faults, and messages that no claim can take.
LARGE = RunMachine(
    sizes=Sizes(
        "sswswss", lease=4, resend=3, resend_most=12, wait=11, longest_delay=4, lost_limit=9, workers=4, copies=1_000,
        reduced=False,
    ),
    faults=Faults(lost=5, doubled=5, crashes=6, cancels=2, early=3, exceptions=2, cleanups=1),
)  # fmt: skip


def likely(step: Step[State]) -> float:
    """Return a step's relative probability in random schedules. Faults are rare, and time passes slowly."""
    if not step.fair:
        return 0.15 if step.label.startswith("THAW") else 0.05
    return 0.6 if step.fair == "tick" else 1.0


CASES = Cases(
    rules=Rules,
    holds={
        "of each fault one": OF_EACH,
        "busy, exceptions, cleanup": BUSY,
        "runs that wait for a place": HELD,
        "two crashes and a cancel": TWO_CRASHES,
        "a long wait": LONG_WAIT,
        "a long lease": LONG_LEASE,
        "a longest duration": TIME_OVER,
        "a job that waits to and fro": TO_AND_FRO,
        "a job that kills its worker": POISON,
        "a job that kills its worker and goes to and fro": POISON_TO_AND_FRO,
    },
    proofs={
        "two crashes and a cancel": RunMachine(faults=Faults(crashes=2, cancels=1)),
        "two of each fault": RunMachine(faults=Faults(2, 2, 2, 1, 1)),
        "a place is missing twice, with all others": RunMachine(
            sizes=Sizes("ss", duration=6), faults=Faults(lost=1, doubled=1, crashes=1, cancels=1, early=1, holds=2)
        ),
        "two of each fault, a long wait": RunMachine(sizes=Sizes(wait=5), faults=Faults(2, 2, 2, 1, 1)),
        "exceptions and cleanup with all others": RunMachine(faults=Faults(1, 1, 1, 1, 1, 1, 1)),
        "a longest duration with all others": RunMachine(sizes=Sizes(duration=5), faults=Faults(2, 1, 2, 1, 1)),
        "to and fro with all others": RunMachine(
            sizes=Sizes(job="ll", wait=1, duration=5), faults=Faults(2, 1, 2, 1, 1)
        ),
        "poison with all others": RunMachine(sizes=Sizes(job="kk", lost_ceiling=3), faults=Faults(2, 2, 1, 1, 1)),
    },
    knockouts=(
        Knockout(("fence_live",), "write after the end", 11, OF_EACH),
        Knockout(("fence_slice",), "stale write", 10, OF_EACH),
        Knockout(("claim_no_lease",), "step twice or skipped", 13, OF_EACH),
        Knockout(("expiry_raises",), "step twice or skipped", 14, OF_EACH),
        Knockout(("claim_due",), "lost without a death", 15, RunMachine(sizes=Sizes(wait=3))),
        Knockout(("early_sent_on",), "needless wait", 16, OF_EACH),
        Knockout(("end_slice_sends_last",), "needless wait", 13, OF_EACH),
        Knockout(("end_slice_resend",), "refused by a CHECK", 7, OF_EACH),
        Knockout(("end_slice_resend",), "stuck", 7, UNCHECKED),
        Knockout(("expiry_resend",), "refused by a CHECK", 7, OF_EACH),
        Knockout(("expiry_resend",), "stuck", 7, UNCHECKED),
        Knockout(("claim_clears_resend",), "refused by a CHECK", 3, OF_EACH),
        Knockout(("claim_clears_resend", "resend_no_lease"), "message without use", 6, UNCHECKED),
        Knockout(("end_clears_resend",), "refused by a CHECK", 2, OF_EACH),
        Knockout(("end_clears_resend", "resend_live"), "message without end", 5, UNCHECKED),
        Knockout(("end_slice_no_cancel",), "forgotten cancel", 8, OF_EACH),
        Knockout(("cancel_in_one",), "forgotten cancel", 9, OF_EACH),
        Knockout(("end_run_no_cancel",), "cancel not honoured", 17, OF_EACH),
        Knockout(("expiry_cancel_first",), "cancel not honoured", 14, TWO_CRASHES),
        Knockout(("unknown_commit_abandons",), "step twice or skipped", 7, OF_EACH),
        Knockout(("moved_cursor_alone",), "stuck", 6, POISON),
        Knockout(("lost_ceiling",), "stuck", 19, POISON_TO_AND_FRO),
        Knockout(("expiry_over",), "healthy worker robbed", 4, OF_EACH),
        Knockout(("expiry_locked_row",), "forgotten cancel", 9, OF_EACH),
        Knockout(("idle_timeout",), "stuck", 7, RunMachine(faults=Faults(crashes=1))),
        Knockout(("statement_clock",), "short wait", 13, LONG_LEASE),
        Knockout(("overlong_ends",), "stuck", 11, TO_AND_FRO),
        Knockout(("claim_time_left",), "stuck", 10, TO_AND_FRO),
        Knockout(("claim_sets_end_once",), "stuck", 3, TO_AND_FRO),
        Knockout(("overlong_no_lease",), "healthy worker robbed", 8, TIME_OVER),
        Knockout(("overlong_live",), "write after the end", 10, TIME_OVER),
        Knockout(("hold_no_lease",), "refused by a CHECK", 6, HELD),
        Knockout(("hold_live",), "refused by a CHECK", 5, HELD),
        Knockout(("hold_resend",), "message without use", 7, HELD),
        Knockout(("call_held",), "message without use", 8, HELD),
        Knockout(("call_live",), "message without end", 6, HELD),
        Knockout(("cleanup_in_step",), "cancel without its step", 3, BUSY),
    ),
)
