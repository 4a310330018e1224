"""Orchestration only: Prefect flows and tasks. No class, no arithmetic, no SQL."""
