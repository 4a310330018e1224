"""Execution: orders that are placed exactly once, checked before they are sent, and stored before anything happens."""
