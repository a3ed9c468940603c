"""The outside services: SQS, SES and EventBridge. They accept requests and then act as the play decides."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
from tests.simulation.actors import Operation, current

if TYPE_CHECKING:
    from tests.simulation.actors import Actor
    from tests.simulation.world import World

# As in the template: queues keep messages for a day, and deliver again after six times the function's time-out.
KEPT_FOR = timedelta(days=1)
VISIBILITY = timedelta(minutes=12)
RECEIVES = 5


@dataclass
class Message:
    name: str
    queue: str
    body: str
    visible_at: datetime
    sent_at: datetime
    receives: int = 0


@dataclass
class Delivered:
    """A mail or an event that the outside accepted."""

    kind: str
    notice: str
    """The id of a mail's row, or of an event's run."""
    actor: "Actor"
    subject: str


class Outside:
    def __init__(self, world: "World"):
        self.world = world
        self.messages: dict[str, Message] = {}
        self.delivered: list[Delivered] = []
        self.sends = 0

    def answer(self, service: str, request: Any, endpoint: str) -> dict[str, Any]:
        """Replace nightshift.aws.aws_http._answer."""
        actor = current()
        assert actor, f"{service} was called outside of a play"
        body = json.loads(request.data)
        if service == "sqs":
            return actor.stop_before(self._sending(actor, body))
        if service == "events":
            return actor.stop_before(self._announcing(actor, body["Entries"]))
        return actor.stop_before(self._mailing(actor, body["Content"]["Simple"]["Subject"]["Data"]))

    def _sending(self, actor: "Actor", body: dict[str, Any]) -> Operation:
        entries = body.get("Entries", [body])
        queue = body["QueueUrl"].rpartition("/")[2]

        def perform(*, copies: int = 1, late_s: float = 0) -> dict[str, Any]:
            for entry in entries:
                for _ in range(copies):
                    actor.has_sent += 1
                    self.sends += 1
                    name = f"{actor.name}.{actor.has_sent}"
                    visible_at = self.world.now + timedelta(seconds=entry.get("DelaySeconds", 0) + late_s)
                    self.messages[name] = Message(name, queue, entry["MessageBody"], visible_at, self.world.now)
            return {"Failed": []}

        return Operation(f"send to {queue}", "send", perform, _unanswered)

    def _mailing(self, actor: "Actor", subject: str) -> Operation:
        def perform() -> dict[str, Any]:
            assert actor.claimed
            self.delivered.append(Delivered("mail", actor.claimed[0], actor, subject))
            return {"MessageId": "accepted"}

        return Operation("send the mail", "mail", perform, _unanswered)

    def _announcing(self, actor: "Actor", entries: list[dict[str, Any]]) -> Operation:
        def perform() -> dict[str, Any]:
            for entry in entries:
                self.delivered.append(Delivered("event", json.loads(entry["Detail"])["id"], actor, ""))
            return {"Entries": [{"EventId": "accepted"} for _ in entries]}

        return Operation(f"send {len(entries)} events", "event", perform, _unanswered)

    def may_be_received(self, name: str, *, early: bool = False) -> bool:
        message = self.messages.get(name)
        return bool(message) and (early or message.visible_at <= self.world.now)  # type: ignore[union-attr]

    def receive(self, name: str) -> Message:
        message = self.messages[name]
        message.receives += 1
        message.visible_at = self.world.now + VISIBILITY
        return message

    def forget_old(self) -> None:
        """Drop messages after the queue's retention time, and messages that would go to a dead-letter queue."""
        for name, message in list(self.messages.items()):
            is_dead = message.receives >= RECEIVES and message.visible_at <= self.world.now
            if is_dead or self.world.now - message.sent_at > KEPT_FOR:
                del self.messages[name]


def _unanswered() -> None:
    raise AwsUnreachable("The answer was lost")


def refused_for_a_while() -> None:
    raise AwsRefused("simulated", "ThrottlingException", "too much at once", passing=True)
