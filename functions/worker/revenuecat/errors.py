"""How a call to RevenueCat can fail, by what follows from it."""

from nightshift.errors import JobError, NightshiftError


class Denied(JobError):
    """RevenueCat does not accept the key (401, 403): no later call would fare better."""


class Rejected(NightshiftError):
    """RevenueCat cannot answer this question, now or later; the next one may be fine."""


class Missing(Rejected):
    """RevenueCat does not know this customer."""


class Unavailable(NightshiftError):
    """RevenueCat cannot answer now.

    ``what`` happened, in words that "eight times in a row" can follow; ``detail`` is the provider's sentence;
    ``wait_s``: not before so many seconds; ``waiting_for`` completes "waiting for …".
    """

    def __init__(self, what: str, detail: str, *, wait_s: float, waiting_for: str | None = None):
        super().__init__(f"{what}: {detail}")
        self.what, self.detail, self.wait_s = what, detail, wait_s
        self.waiting_for = waiting_for or f"another try: {what} ({detail})"


class RateLimited(Unavailable):
    """The budget of the key is used up for longer than a call may sleep."""

    def __init__(self, what: str, detail: str, *, wait_s: float):
        super().__init__(what, detail, wait_s=wait_s, waiting_for="RevenueCat's rate limit")


class OutOfTime(Unavailable):
    """The invocation ends before another call could."""

    def __init__(self) -> None:
        super().__init__("A slice was too short", "one user did not fit", wait_s=0, waiting_for="the next slice")
