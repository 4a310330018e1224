"""The exchange edge: ccxt behind the ports `Exchange` and `ExchangeAccount`.

* ``factory``: what wiring calls: an exchange or an account for a `Venue`.
* ``client``: the ccxt client of a venue: class, URLs, options.
* ``link``: one request, from the shared budget to a translated error; clock offset; counters.
* ``budget``: request weight and bans shared by every process.
* ``replies``, ``errors``: what came back, and which of our errors it is.
* ``answers``: pure checks of Binance's JSON; nothing unchecked passes.
* ``binance``, ``account``: the ports on Binance's own endpoints; ``generic``: the public port on ccxt's unified calls.
"""
