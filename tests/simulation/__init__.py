"""A simulator of concurrency: it runs the product's own functions on a real Postgres, one step at a time.

Each **actor** (a worker, a sweep, a caller of the API and so on) is a thread that stops before every statement, send
and outside call (actors.py). The **play** lets one actor continue at a time, as a seed decides (play.py), and chooses
a fault for it (faults.py): the actor is killed before or after the operation, loses the answer or its connection, or
freezes. The simulator has its own clock, queues and mail server (world.py, outside.py), so hours pass at once. After
every step it checks the **promises** against the changes that triggers on the tables recorded (promises.py). A play
that breaks a promise is shortened and printed as a test (shrink.py).

To add an actor or an event, write a move (moves.py, callers.py, servants.py); to add a fault, a function (faults.py).

    make simulate STEPS=100000 SEED=7
"""
