"""A project whose users are synced from a sandbox in simulated time, one slice at a time, on a real database."""

import json
from contextlib import closing
from dataclasses import dataclass, field

import boto3
import pytest
from moto import mock_aws
from pg8000.native import literal

from local.revenuecat.catalogue import Customer, Subscription, product
from local.revenuecat.sandbox import Sandbox
from local.revenuecat.simulated import BASE_URL, SimulatedCalls, SimulatedTime
from nightshift.aws import clients
from nightshift.base import settings
from nightshift.jobs import Wait
from nightshift.tenants.integrations import encrypt_secret
from nightshift_jobs.revenuecat_sync.job import revenuecat_sync

SLICE_S = 60
MONTHLY = Subscription(product_id=product("premium_p1m").id, gross=9.99)
PAYING = Customer(subscriptions=(MONTHLY,))


def names(count):
    return [f"user_{n:03d}" for n in range(count)]


@dataclass
class Slice:
    """A run within one slice of ``SLICE_S`` seconds."""

    project_id: str
    clock: SimulatedTime
    cursor: dict | None = None
    params: dict = field(default_factory=dict)
    id: str = "run"
    slice_s: float = SLICE_S

    def __post_init__(self):
        self.ends_at = self.clock() + self.slice_s

    @property
    def remaining_s(self) -> float:
        return self.slice_left_s + 25

    @property
    def slice_left_s(self) -> float:
        return self.ends_at - self.clock()

    def is_cancelled(self) -> bool:
        return False


class StepDatabase:
    """Reads autocommit; the first write opens the transaction that ``commit`` ends."""

    def __init__(self, db):
        self._db = db
        self.statements = 0

    def read(self, query, /, **params):
        self.statements += 1
        return self._db.query(query, **params)

    def write(self, query, /, **params):
        self.statements += 1
        if not self._db.in_transaction:
            self._db.begin()
        return self._db.query(query, **params)

    def commit(self):
        if self._db.in_transaction:
            self._db.commit()

    def rollback(self):
        if self._db.in_transaction:
            self._db.rollback()


class Stage:
    """A project whose users are synced from a sandbox, with its clock."""

    def __init__(self, db, owner, sandbox, clock):
        self.db, self.owner, self.sandbox, self.clock = db, owner, sandbox, clock
        self.step = StepDatabase(db)
        self.project_id = self.project()
        self.connect(self.project_id)

    def arrange(self, sql, **values):
        for name, value in values.items():
            sql = sql.replace(f":{name}", literal(value))
        return self.owner.run_script(sql)

    def project(self):
        team = self.arrange("INSERT INTO teams (name, slug) VALUES ('T', gen_random_uuid()::text) RETURNING id")
        insert = "INSERT INTO projects (team_id, name, slug) VALUES (:team_id, 'P', 'p') RETURNING id::text"
        return self.arrange(insert, team_id=str(team[0][0]))[0][0]

    def connect(self, project_id, *, key=None, config='{"project_id": "proj1a2b3c4d"}'):
        secret = encrypt_secret(key or self.sandbox.api_key, project_id=project_id).hex()
        self.arrange("UPDATE project_integrations SET deleted_at = now() WHERE project_id = :id", id=project_id)
        insert = (
            "INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)"
            " VALUES (:project_id, 'revenuecat', :config, decode(:secret, 'hex'))"
        )
        self.arrange(insert, project_id=project_id, config=config, secret=secret)

    def users(self, *user_ids, project_id=None, anonymous=False, properties="{}"):
        insert = (
            "INSERT INTO app_users (id, project_id, is_anonymous, properties, user_id)"
            " SELECT md5(:salt || value)::uuid, :project_id, :anonymous, :properties, value"
            " FROM jsonb_array_elements_text(:user_ids)"
        )
        self.arrange(
            insert,
            # The order of the ids is the same in each run of a seed.
            salt="" if project_id in (None, self.project_id) else project_id,
            project_id=project_id or self.project_id,
            anonymous=anonymous,
            properties=properties,
            user_ids=json.dumps(user_ids),
        )

    def stored(self, project_id=None):
        """Return each user's (properties, cents, whether it was ever synced) by user_id."""
        query = (
            "SELECT user_id, properties, total_revenue_usd_cents, revenue_synced_at IS NOT NULL"
            " FROM app_users WHERE project_id = :id"
        )
        return {row[0]: tuple(row[1:]) for row in self.arrange(query, id=project_id or self.project_id)}

    def versions(self):
        return self.owner.run_script("SELECT id, xmin, ctid::text FROM app_users ORDER BY id")

    def slice(self, cursor=None, slice_s=SLICE_S, **params):
        return Slice(project_id=self.project_id, clock=self.clock, cursor=cursor, params=params, slice_s=slice_s)

    def job(self, run, of=revenuecat_sync):
        return closing(of(run, self.step, clock=self.clock, calls=self.calls))

    def calls(self, key):
        return SimulatedCalls(self.sandbox, self.clock, key)

    def sync(self, **how):
        return self.run_to_the_end(revenuecat_sync, **how)

    def run_to_the_end(
        self, of, *, slice_s=SLICE_S, dies=lambda: False, stops=lambda step: False, continues=None, **params
    ):
        """Run the job ``of``; return its result and its yields.

        ``dies()``: a worker dies before its commit. ``stops(step)``: the run is cancelled behind this step, without a
        result. ``continues`` is the cursor of such a run.
        """
        yields, cursor = [], continues
        while True:
            run = self.slice(json.loads(json.dumps(cursor)), slice_s=slice_s, **params)
            run.id = "rerun" if continues else run.id
            with self.job(run, of) as job:
                while True:
                    try:
                        yielded = next(job)
                    except StopIteration as end:
                        self.step.commit()
                        return end.value, yields
                    except BaseException:
                        self.step.rollback()
                        raise
                    if dies():
                        self.step.rollback()
                        self.clock.sleep(10)
                        break
                    self.step.commit()
                    yields.append(yielded)
                    cursor = yielded.cursor
                    if stops(yielded):
                        return None, yields
                    if isinstance(yielded, Wait):
                        self.clock.sleep(yielded.seconds)
                        break
                    if run.slice_left_s <= 0:
                        break


@pytest.fixture(scope="module")
def kms(moto_endpoint):
    """Yield the id of an encryption key. Creating one takes longer than a test."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "testing")
        environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        environment.setenv("AWS_ENDPOINT_URL", moto_endpoint)
        environment.setenv("DATABASE_HOST", "unused")
        environment.setenv("DATABASE_USER", "unused")
        clients.client.cache_clear()
        key_id = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
        environment.setenv("INTEGRATIONS_KEY_ID", key_id)
        yield key_id
    clients.client.cache_clear()
    settings.settings.cache_clear()


@pytest.fixture
def stage(db, owner, kms, monkeypatch):
    """``stage(**sandbox_options)``: a project that is connected to its own sandbox."""
    clock = SimulatedTime()
    monkeypatch.setenv("REVENUECAT_URL", BASE_URL)
    settings.settings.cache_clear()

    def stage(**options):
        sandbox = Sandbox(**{"clock": clock, "budget": 10**6, "configuration_budget": 10**6, **options})
        return Stage(db, owner, sandbox, clock)

    return stage


@pytest.fixture
def payers(stage):
    """``payers(count)``: a stage with so many users who pay."""

    def payers(count, **options):
        it = stage(**options)
        it.users(*names(count))
        for name in names(count):
            it.sandbox.customers[name] = PAYING
        return it

    return payers
