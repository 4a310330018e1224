"""The picture of an allocation: drawn for whatever is held."""

from __future__ import annotations

import struct
import subprocess
import sys
from decimal import Decimal

import pytest

from lib.allocation.drift import measure_allocation
from lib.allocation.holdings import Portfolio
from lib.allocation.targets import TargetRules
from lib.reporting.allocation_chart import draw_allocation
from tests.allocation.samples import PAIR, TARGETS, asset, hold

MANY = tuple(f"COIN{number}" for number in range(40))
EMPTY = [asset(name, "0", None) for name in TARGETS.universe]


@pytest.mark.parametrize(
    ("portfolio", "rules"),
    [
        (hold("1000", asset("BTC", "0.1", "60000"), asset("SOL", "30", "100")), PAIR),
        (hold("1000", *EMPTY), TARGETS),
        (hold("1", *(asset(name, "1", "1") for name in MANY)), TargetRules(MANY[:3], MANY[3:])),
        (
            hold("0", asset("BTC", "0", None), *(asset(f"DUST{n}OFAVERYLONGNAME", "1", "0.0001") for n in range(99))),
            TargetRules(("BTC",), ()),
        ),
    ],
)
def test_a_picture_fits_a_telephone_whatever_is_held(portfolio: Portfolio, rules: TargetRules) -> None:
    png = draw_allocation(measure_allocation(portfolio, rules, Decimal("0.05")), "Allocation of demo")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (1080, 1350)
    assert 10_000 < len(png) < 500_000


def test_optimizing_brings_matplotlib_only_when_it_draws() -> None:
    code = (
        "import sys, lib.allocation.optimization, lib.adapters.database.rebalancing; "
        "print([name for name in ('numba', 'matplotlib', 'pyarrow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
