"""Fixtures that every test may ask for."""

pytest_plugins = ["tests.databases", "tests.webhooks", "tests.simulators", "tests.prefect_servers", "tests.platforms"]
