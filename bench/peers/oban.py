"""oban-py: a worker fetches up to ten jobs at once, and ends as many in one transaction."""

import asyncio
from contextlib import AsyncExitStack

from oban import Oban, worker
from oban.schema import install as install_schema


async def install(url: str) -> None:
    pool = await Oban.create_pool(url)
    await install_schema(pool)
    await pool.close()


async def work(url: str, jobs: int, *, one_by_one: bool) -> None:
    pool, ended = await Oban.create_pool(url), asyncio.Semaphore(0)

    @worker()
    class Noop:
        async def process(self, job: object) -> None:
            ended.release()

    queue = Oban(pool=pool, queues={"default": 10})
    async with AsyncExitStack() as running:
        if one_by_one:
            await running.enter_async_context(queue)
        for _ in range(jobs):
            await queue.enqueue(Noop.new({}))
            if one_by_one:
                await ended.acquire()
        if not one_by_one:
            await running.enter_async_context(queue)
            for _ in range(jobs):
                await ended.acquire()
    await pool.close()
