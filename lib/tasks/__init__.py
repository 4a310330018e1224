"""The users' tasks, without Prefect: each function puts the platform's parts to one task's work.

`flows.tasks` makes Prefect tasks of them. What needs numba or matplotlib has modules of its own, so that the
five-minute chain does not import those.
"""
