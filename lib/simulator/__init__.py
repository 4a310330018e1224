"""A Binance Spot REST server on loopback that unmodified clients can use. A program of its own.

Nothing else in `lib` imports it. `server` builds it; `market` holds the words its two halves share: the market half
(`world`, `replay`, `public_api`) and the account half (`books`, `orders`, `private_api`).
"""
