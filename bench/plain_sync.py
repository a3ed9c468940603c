"""The plain approach to compare with: four calls a user, one after the other, inside one long-lived process."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.simulated import KEY
from local.revenuecat.sandbox import Sandbox
from local.revenuecat.simulated import BASE_URL, SimulatedTime

CALLS = ("", "/active_entitlements", "/subscriptions", "/purchases")


@dataclass
class Plain:
    """Calls, refused calls, and the seconds, all of which are paid."""

    calls: int = 0
    refused: int = 0
    seconds: float = 0


def plain_sync(sandbox: Sandbox, clock: SimulatedTime, ids: Sequence[str]) -> Plain:
    """Read each customer. After a 429, sleep as long as it says and try again."""
    plain, began = Plain(), clock()
    for user_id in ids:
        for call in CALLS:
            while True:
                plain.calls += 1
                target = f"/projects/{sandbox.project_id}/customers/{user_id}{call}"
                reply = sandbox.answer(
                    target, base_url=BASE_URL, authorization=f"Bearer {KEY}", wait=lambda seconds: clock.sleep(seconds)
                )
                if reply is None or reply.status != 429:
                    break
                plain.refused += 1
                clock.sleep(int(reply.headers["Retry-After"]))
    plain.seconds = clock() - began
    return plain
