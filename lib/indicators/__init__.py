"""Indicators: one implementation for live signals and for research.

Nothing here imports numba until a value is computed, except ``kernels``, ``shelf`` and ``warm``: the five-minute chain
must not pay for it.
"""
