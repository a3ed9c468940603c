"""No statement of the API, the sweep, the operator or the retention costs more because the history is longer.

The counts of buffers are those of the benchmark, at 200,000 runs and a tenth of them. The benchmark alone takes the
number of runs as an argument.
"""

from bench import growth


def test_no_statement_costs_more_with_a_longer_history() -> None:
    growth.main()
