"""The model of docs/protocol.md: seven small machines, and a checker that follows every schedule of each.

A machine is a module. It has rules, each of which can be left out; a state, in named tuples; actions, one function
each, whose docstring names the modelled statement; and cases, which list what holds and what breaks. Read ``system`` or
``starts`` first, which are short, and ``checker``, which searches for broken promises. ``run`` is the largest machine.

A state holds more than the tables. Some fields record the truth (how many mails SES took, how many steps are
committed), and a step that contradicts them breaks a promise.
"""
