"""The process that works one message, and dies or freezes at the moment of its fate."""

import dataclasses
import gc
import os
import signal
from multiprocessing.connection import Connection
from typing import Any

from nightshift.aws import queue
from nightshift.base import settings as settings_module
from nightshift.base.settings import Settings
from nightshift.database import queries
from nightshift.runs import executor
from nightshift_jobs.revenuecat_sync import crew, place
from tests.support.chaos import REMAINING_S, Fate

# Queries that commit on their own when no transaction is open.
COMMITTING = {"claim_slice", "save_progress", "end_slice", "end_run"}


def invoke(pipe: Connection, settings: Settings, run_id: str, number: int, fate: Fate) -> None:
    boundary = Boundary(pipe, fate)
    db = FatefulDatabase(settings, boundary)
    queue.send = boundary.around(lambda message: pipe.send(("send", *message)))
    crew.USERS_A_COMMIT = crew.USERS_IN_FIRST_COMMIT = crew.USERS_A_SLICE = 4
    crew.COMMIT_AFTER_S = crew.FIRST_COMMIT_AFTER_S = 0
    place.decrypt_secret = lambda ciphertext, *, project_id: ciphertext.decode()
    settings_module.settings.cache_clear()
    os.environ["DATABASE_HOST"], os.environ["REVENUECAT_URL"] = settings.database_host, settings.revenuecat_url
    os.environ["DATABASE_USER"] = settings.database_user
    settings = dataclasses.replace(settings, slice_budget_s=0 if fate.one_step else REMAINING_S)
    executor.work(run_id, number, db=db, settings=settings, remaining_s=lambda: REMAINING_S, request_id="chaos")
    db.close()


class Boundary:
    """Count commits and sends. The worker can die before or after each."""

    def __init__(self, pipe: Connection, fate: Fate):
        self._pipe, self._fate, self._passed = pipe, fate, 0

    def around(self, call: Any) -> Any:
        def called(*args: Any, **kwargs: Any) -> Any:
            self._cross()
            result = call(*args, **kwargs)
            self._cross()
            return result

        return called

    def _cross(self) -> None:
        if self._passed == self._fate.boundary:
            self._pipe.send((self._fate.action, self._passed))
            os.kill(os.getpid(), signal.SIGKILL if self._fate.action == "kill" else signal.SIGSTOP)
        self._passed += 1


class FatefulDatabase(queries.Database):
    """A database that rolls back idle transactions after half a second, as the role's does after ten."""

    def __init__(self, settings: Settings, boundary: Boundary):
        super().__init__(settings, idle_in_transaction_session_timeout="500")
        self._boundary = boundary

    def query(self, name: str, /, **params: Any) -> list[queries.Row]:
        run = super().query
        if name in COMMITTING and not self.in_transaction:
            run = self._boundary.around(run)
        return run(name, **params)

    def commit(self) -> None:
        self._boundary.around(super().commit)()


# The server that forks the workers imports this module. A worker shares with it what it does not have to change.
queries.query_files()
gc.freeze()
