"""pgqueuer: a worker fetches up to ten jobs at once, and moves as many from its queue to its log."""

import asyncio

import asyncpg
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries
from pgqueuer.types import QueueExecutionMode


async def install(url: str) -> None:
    connection = await asyncpg.connect(url)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


async def work(url: str, jobs: int, *, one_by_one: bool) -> None:
    client, connection = await asyncpg.connect(url), await asyncpg.connect(url)
    queue, ended = PgQueuer.from_asyncpg_connection(connection), asyncio.Semaphore(0)

    @queue.entrypoint("noop")
    async def noop(job: Job) -> None:
        ended.release()

    if one_by_one:
        worker = asyncio.create_task(queue.run())
    for _ in range(jobs):
        await Queries(AsyncpgDriver(client)).enqueue("noop", None)
        if one_by_one:
            await ended.acquire()
    if one_by_one:
        queue.shutdown.set()
        await worker
    else:
        await queue.run(mode=QueueExecutionMode.drain)
    await client.close()
    await connection.close()
