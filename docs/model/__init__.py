"""The model of docs/protocol.md: seven small machines, and a checker that follows every schedule of each.

A machine is a module: the rules, each of which can be left out; the state, in named tuples; the actions, a function
each, whose docstring names the statement that it says; and the cases, with what holds and what breaks. Begin with
``system`` or ``starts``, which are short, and with ``checker``, which finds what is broken. ``run`` is the largest.

A state holds more than the tables do: some fields say what is really so (how many mails SES took, how far the steps are
committed), and a promise is broken where a step contradicts them.
"""
