"""Strategies, their signals, and how much of a signal an account can carry."""
