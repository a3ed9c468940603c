"""Other job queues on Postgres, each with its own schema and its own worker, in an environment of their own.

``work(url, jobs, one_by_one=…)`` of each enqueues jobs that do nothing, each in a request of its own, and works them to
the end. Either the worker finds them all at once when it starts; or it waits for them, and each is enqueued when the
one before it has run.
"""
