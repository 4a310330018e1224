"""Measurements: ratios to named peers within one run. No test times anything; docs/benchmarks.md records results.

Each module has `run()`, which prints one table and ends by itself; the first line of its docstring says what it
compares. ``python -m benchmarks`` runs all, ``python -m benchmarks upsert`` one.
"""
