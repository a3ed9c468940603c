"""Errors of calls to RevenueCat, by how the job reacts to them."""

from nightshift.base.errors import JobError, NightshiftError


class Denied(JobError):
    """RevenueCat does not accept the key (401, 403). Later calls would fail, too."""


class Rejected(NightshiftError):
    """RevenueCat will never answer this request. Other requests may succeed."""


class Missing(Rejected):
    """RevenueCat does not know this customer."""


class Unavailable(NightshiftError):
    """RevenueCat cannot answer this request now.

    ``what`` says what happened, so that "eight times in a row" can follow; ``detail`` is RevenueCat's message;
    ``wait_s`` is the minimum delay in seconds; ``waiting_for`` completes "waiting for …".
    """

    def __init__(self, what: str, detail: str, *, wait_s: float, waiting_for: str | None = None):
        super().__init__(f"{what}: {detail}")
        self.what, self.detail, self.wait_s = what, detail, wait_s
        self.waiting_for = waiting_for or f"another try: {what} ({detail})"


class Forbidden(Unavailable):
    """The key may not read this customer (403). If that is so for many customers, it is Denied."""


class Postponed(Unavailable):
    """The call was not made, or is not to be repeated in this slice. The customer is not the cause."""


class RateLimited(Postponed):
    """The key's rate limit is used up. ``wait_s`` is None if RevenueCat does not say for how long.

    ``had_room``: the headers of the answer before had shown room for more calls.
    """

    def __init__(self, what: str, detail: str, *, wait_s: float | None):
        super().__init__(what, detail, wait_s=wait_s or 0, waiting_for="RevenueCat's rate limit")
        self.asked_s, self.had_room = wait_s, False


class OutOfTime(Postponed):
    """The invocation would end before another call."""

    def __init__(self) -> None:
        super().__init__("A slice was too short", "one user did not fit", wait_s=0, waiting_for="the next slice")
