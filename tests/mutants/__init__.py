"""Prove that a test checks each condition: alter every condition in turn, and run the test that must then fail.

``make mutants`` tries all mutants. tests/mutants/table names for each mutant the test that kills it, or the reason why
it behaves like the original. tests/executor/test_mutants.py compares that table with the code.
"""
