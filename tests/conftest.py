"""Fixtures that every test may ask for."""

from hypothesis import settings

pytest_plugins = ["tests.databases", "tests.webhooks", "tests.simulators", "tests.prefect_servers", "tests.platforms"]

# How long an example takes says nothing on a machine that does something else besides.
settings.register_profile("fks", deadline=None)
settings.load_profile("fks")
