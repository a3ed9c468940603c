"""A simulator of everything that can meet: the product's own functions on a real Postgres, one step at a time.

Each **actor** (a worker, a sweep, a caller of the API and so on) is a thread that stops before every statement, send
and outside call (actors.py). The **play** lets one of them go on at a time, as a seed says (play.py), and decides what
befalls it (faults.py): it is killed before or after, loses the answer or its connection, freezes. Clock, queues and
mail server are the simulator's (world.py, outside.py), so that hours cost nothing. After every step the **promises**
are compared with what triggers on the tables have recorded (promises.py). A play that breaks one is shortened and
printed as a test (shrink.py).

To add an actor or an event, write a move (moves.py, callers.py, servants.py); to add a fault, a function (faults.py).

    make simulate STEPS=100000 SEED=7
"""
