"""procrastinate: a worker fetches and ends one job at a time. Triggers of its tables record a job's events."""

import asyncio

from procrastinate import App, PsycopgConnector


async def install(url: str) -> None:
    async with App(connector=PsycopgConnector(conninfo=url)).open_async() as app:
        await app.schema_manager.apply_schema_async()


async def work(url: str, jobs: int, *, one_by_one: bool) -> None:
    app, ended = App(connector=PsycopgConnector(conninfo=url)), asyncio.Semaphore(0)

    @app.task(name="noop")
    async def noop() -> None:
        ended.release()

    async with app.open_async():
        if one_by_one:
            worker = asyncio.create_task(app.run_worker_async())
        for _ in range(jobs):
            await noop.defer_async()
            if one_by_one:
                await ended.acquire()
        if one_by_one:
            worker.cancel()  # it ends the job that it has
            await asyncio.wait([worker])
        else:
            await app.run_worker_async(wait=False)
