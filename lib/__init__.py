"""Everything of FKS that would be true without Prefect.

The map, from the inside out:

* ``units``, ``errors``, ``results``, ``ports``: the words all rooms share. ``ports`` are the interfaces to the outside.
* ``market``: candles, gaps and their synchronisation.
* ``archive``: old candles and indicators in Parquet files, and the way back.
* ``indicators``: compiled kernels over (symbols, bars) matrices, and the stored rows kept in step with the candles.
* ``strategy``: strategies, the signals they give, and how much of a BUY an account takes.
* ``research``: backtests: what strategies would have earned, held to other engines trade by trade.
* ``portfolio``: the ledger (positions from fills), valuation and stop losses.
* ``balances``: what accounts hold and are worth, cash flows, and breaks between the exchange and the ledger.
* ``allocation``: targets, what is off, rebalance plans and how they are kept.
* ``execution``: orders placed exactly once, the checks before them, approval, plans carried out, reconciliation.
* ``risk``: rules, value at risk, drawdown, correlation.
* ``performance``: returns of UTC days without deposits and withdrawals, what orders earned, and the measures of both.
* ``paper``: accounts of our own that trade against the real order book, without keys.
* ``news``: feeds, stories, symbols they speak of, and how they sound.
* ``notifications``: the outbox and its delivery.
* ``reporting``: artifacts of chains, charts, and the daily, weekly and monthly reports.
* ``health``: figures of the platform itself, their bounds, and who is told when one is passed.
* ``tasks``: the users' tasks without Prefect; ``platform``: the parts they work with.
* ``adapters``: the outside world (``exchange`` by ccxt, ``database`` by SQLModel, ``channels`` by Apprise, ``feeds``
  by feedparser, ``archive_folder`` by fsspec).
* ``settings``: the one reader of the environment; ``wiring``: the one place that chooses implementations.
* ``simulator``: a Binance Spot server of its own; nothing else in ``lib`` imports it.

``lib`` never imports Prefect, ``flows`` or ``deployments`` (checked by import-linter in ``make test``).
"""
