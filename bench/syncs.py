"""Shared parts of the sync's benchmarks: a database with users and a run, and a worker process for its slices."""

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from bench.parts import create_database, settings_of, work_slices
from local.postgres import Postgres
from nightshift.base import settings as settings_module
from nightshift.base.settings import Settings
from nightshift.database.migrations import migrate
from nightshift.database.queries import Database
from nightshift.jobs.rights import declare_rights
from nightshift_jobs.revenuecat_sync import place

INSERT_RUN = (
    "INSERT INTO job_runs (id, job_type, team_id, project_id, triggered_by, resend_at)"
    " SELECT gen_random_uuid(), 'revenuecat_sync', team_id, id, 'bench', clock_timestamp() FROM projects"
    " RETURNING id::text"
)


def database_with_users(server: Postgres, name: str, *, users: int) -> Database:
    """Create a database with a project of ``users`` users that the sandbox knows. Return a superuser's connection.

    The order of the users' ids is the same in each run.
    """
    create_database(server, name)
    owner = Database(settings_of(server, name, "postgres"))
    migrate(owner)
    declare_rights(owner)
    owner.run_script(
        f"""
        INSERT INTO teams (name, slug) VALUES ('T', 't');
        INSERT INTO projects (team_id, name, slug) SELECT id, 'P', 'p' FROM teams;
        INSERT INTO project_integrations (project_id, provider, config, secret_encrypted)
            SELECT id, 'revenuecat', '{{"project_id": "proj1a2b3c4d"}}', 'sk_sandbox' FROM projects;
        INSERT INTO app_users (id, project_id, user_id)
            SELECT md5(n::text)::uuid, id, 'user_' || lpad(n::text, 6, '0')
            FROM projects, generate_series(1, {users}) n;
        ANALYZE
        """
    )
    return owner


def start_worker(settings: Settings, run_id: str, *, number: int = 0) -> tuple[BaseProcess, Connection]:
    """Start a process that works the chain of slices from ``number`` on, as the queue would deliver them.

    At the end it sends (slices, statements, seconds) and waits for a message before it exits.
    """
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(there, settings, run_id, number))
    process.start()
    return process, here


def _work(pipe: Connection, settings: Settings, run_id: str, number: int) -> None:
    os.environ["DATABASE_HOST"], os.environ["REVENUECAT_URL"] = settings.database_host, settings.revenuecat_url
    os.environ["DATABASE_USER"] = settings.database_user
    settings_module.settings.cache_clear()
    place.decrypt_secret = lambda ciphertext, *, project_id: ciphertext.decode()
    db, began = Database(settings), time.monotonic()
    slices, _ = work_slices(run_id, db=db, settings=settings, number=number)
    pipe.send((slices, db.statements, time.monotonic() - began))
    pipe.recv()
