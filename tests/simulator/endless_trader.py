"""A program that trades into a file of books until it is killed, and tells each order it has been told is placed.

python -m tests.simulator.endless_trader FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

from lib.simulator.books import Books
from lib.simulator.journal import Journal
from tests.simulator.paper_market import open_paper_exchange


def main(path: Path) -> None:
    exchange = open_paper_exchange(books=Books(Journal(path)), USDT="1000000", BTC="1000")
    exchange.market.depth = exchange.market.depth / 10
    print("ready", flush=True)
    while True:
        bought = exchange.order("BUY", "MARKET", quantity="2.5")
        print(bought.order_id, flush=True)
        resting = exchange.order("SELL", "LIMIT", quantity="2", price="101")
        print(resting.order_id, flush=True)
        exchange.pass_time(60, price="102")
        exchange.pass_time(60, price="100")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
