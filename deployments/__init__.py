"""The stack: PostgreSQL, Prefect server, work pool, deployments, automations, worker, and the `fks` command."""
