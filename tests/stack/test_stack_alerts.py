"""An alert on the whole stack: a provider's key breaks, the webhook gets the failure once, and then the recovery."""

from typing import Any

import pg8000.native
import pytest
import urllib3

from local import seed
from local.run import call
from local.stack import Stack
from tests.alerts.alert_world import is_signed
from tests.support.stack_world import QUICK, end_wait, ended, triggered, until

pytestmark = pytest.mark.stack


def test_a_webhook_gets_a_failure_once_and_then_the_recovery(
    stack: Stack, here: dict[str, Any], stack_owner: pg8000.native.Connection
) -> None:
    admin = here | {"agent_key": here["admin_token"]}

    def ask(method: str, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        answered, answer = call(admin, method, path, body)
        assert answered == status, answer
        return answer

    def received() -> list[dict[str, Any]]:
        found = urllib3.request("GET", f"{here['alert_sink_url']}.json").json()
        return [each for each in reversed(found) if each["path"] == "alerts/stack-test"]

    def of_run(run_id: str, kind: str) -> list[dict[str, Any]]:
        return [each for each in received() if run_id in each["body"] and f'"type":"{kind}"' in each["body"]]

    def run_to_its_end(*, is_refused: bool = False) -> str:
        run_id = str(triggered(here, **QUICK)["id"])
        if is_refused:
            end_wait(stack, stack_owner, run_id)  # it looks at the key again after half a minute
        until(lambda: ended(here, run_id))
        stack.invoke("SweepFunction", {})
        return run_id

    made = ask(
        "POST",
        f"/v1/teams/{here['team_id']}/alerts",
        {
            "channel": "webhook",
            "events": ["first_failure", "recovered"],
            "minutes_between": 0,
            "url": f"{here['alert_sink_url']}/stack-test",
        },
        201,
    )
    alert = f"/v1/alerts/{made['alert']['id']}"
    integration = f"/v1/projects/{here['project_id']}/integrations/revenuecat"
    test = ask("POST", f"{alert}/test", status=201)["delivery"]
    until(lambda: received())
    assert is_signed(_request(received()[0]), made["secret"])
    assert received()[0]["headers"]["webhook-id"] == test["id"]
    try:
        ask("PATCH", integration, {"config": {"api_key": "sk_wrong"}})
        failed = run_to_its_end(is_refused=True)
        until(lambda: of_run(failed, "run.failed"))
        again = run_to_its_end(is_refused=True)
    finally:
        ask("PATCH", integration, {"config": {"api_key": seed.REVENUECAT_KEY}})
    recovered = run_to_its_end()
    until(lambda: of_run(recovered, "run.recovered"))
    assert len(of_run(failed, "run.failed")) == 1
    assert not of_run(again, "run.failed")
    until(lambda: ask("GET", f"{alert}/deliveries")["deliveries"][0]["status"] == "sent")
    statuses = [each["status"] for each in ask("GET", f"{alert}/deliveries")["deliveries"]]
    assert statuses == ["sent", "sent", "sent"]
    # No other address of this machine is accepted.
    refused = ask("PATCH", alert, {"url": "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next"}, 400)
    assert refused["error"] == "url must begin with https://"
    ask("DELETE", alert)


def _request(message: dict[str, Any]) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(headers=message["headers"], body=message["body"].encode())
