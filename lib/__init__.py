"""Everything of FKS that would be true without Prefect.

The map, from the inside out:

* ``units``, ``errors``, ``results``, ``ports``: the words all rooms share. ``ports`` are the interfaces to the outside.
* ``market``: candles, gaps and their synchronisation.
* ``portfolio``: the ledger (positions from fills), valuation and stop losses.
* ``notifications``: the outbox and its delivery.
* ``tasks``: the users' tasks without Prefect; ``platform``: the parts they work with.
* ``adapters``: the outside world (``exchange`` by ccxt, ``database`` by SQLModel, ``channels`` by Apprise).
* ``settings``: the one reader of the environment; ``wiring``: the one place that chooses implementations.
* ``simulator``: a Binance Spot server of its own; nothing else in ``lib`` imports it.

``lib`` never imports Prefect, ``flows`` or ``deployments`` (checked by import-linter in ``make test``).
"""
