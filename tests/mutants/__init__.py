"""Proof that the tests see each condition: every one altered in turn, and the test named that fails then.

``make mutants`` runs them all. tests/mutants/table names for each mutant the test that kills it, or why it is the same
as the original. tests/test_mutants.py compares that table with the code.
"""
