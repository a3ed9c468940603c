"""Integration Check: tests a stored key at its provider. The API cannot, because only the worker decrypts keys."""

from nightshift.aws.aws_http import AwsRefused, AwsUnreachable
from nightshift.base.errors import JobError
from nightshift.jobs import JobDatabase, Progress, Run, Steps, Wait
from nightshift.jobs.registry import PROVIDERS
from nightshift.tenants.integrations import stored_integration

# Longer than the API's test, which a person waits for.
BUDGET_S = 20.0
# Tries while KMS does not answer, and the seconds between them.
TRIES, PAUSE_S = 5, 10


def integration_check(run: Run, db: JobDatabase) -> Steps:
    """Test the key, and tell what it reads. Raises JobError if it is of no use, or if there is none."""
    name = str(run.params["provider"])
    if name not in PROVIDERS:
        raise JobError(f"params.provider must be one of {', '.join(PROVIDERS)}. Start the check with one of them.")
    provider, tries = PROVIDERS[name], run.cursor["tries"] if run.cursor else 0
    while True:
        try:
            stored = stored_integration(name, project_id=run.project_id, db=db)
            break
        except (AwsRefused, AwsUnreachable) as exc:
            # The error names accounts and roles, which teams must not see. The log has it.
            tries += 1
            if not exc.passing or tries == TRIES:
                raise JobError("KMS did not decrypt the stored key. Tell the operator of this server.") from exc
            yield Wait(seconds=PAUSE_S, why="the decryption of the key", cursor={"tries": tries})
    yield Progress(processed=0, total=1, message=f"Asking {provider.label}", cursor={"tries": tries})
    report = provider.check_key(stored.key, stored.config, budget_s=min(BUDGET_S, run.remaining_s / 2))
    says = report.says(provider.label).replace(stored.key, "********")
    if report.trouble:
        raise JobError(says)
    return {"provider": name, "ok": report.is_good, "says": says}
