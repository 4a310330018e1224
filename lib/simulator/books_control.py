"""Control of the accounts: more of them, money in and out, permissions, and the books themselves as the truth."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from aiohttp import web
from pydantic import Field

from lib.simulator.books import OverdrawnError, Page
from lib.simulator.control import Form, NoFields, add_control
from lib.simulator.demo_account import DEMO_KEY
from lib.simulator.records import Account
from lib.simulator.signed_calls import PrivateExchange

KEY_PATTERN = r"^[A-Za-z0-9_-]{1,128}$"
ASSET_PATTERN = r"^[A-Z0-9]{1,20}$"
_Amount = Field(gt=0, max_digits=28, decimal_places=8)


class Settings(Form):
    """What may differ between accounts; what is not named stays."""

    maker_rate: Decimal | None = Field(default=None, ge=0, lt=1)
    taker_rate: Decimal | None = Field(default=None, ge=0, lt=1)
    fees_in_bnb: bool | None = None
    can_trade: bool | None = None
    can_withdraw: bool | None = None
    can_deposit: bool | None = None
    enable_withdrawals: bool | None = None


class NewAccount(Settings):
    """A new account with its API key and its first deposits."""

    api_key: str = Field(pattern=KEY_PATTERN)
    api_secret: str = Field(min_length=1)
    balances: dict[str, Decimal] = Field(default_factory=dict)


class AccountSettings(Settings):
    """Changed settings of one account."""

    api_key: str = DEMO_KEY


class Deposit(Form):
    """Money in."""

    api_key: str = DEMO_KEY
    asset: str = Field(pattern=ASSET_PATTERN)
    amount: Decimal = _Amount


class Withdrawal(Deposit):
    """Money out; amount and fee leave the account."""

    fee: Decimal = Field(default=Decimal(0), ge=0, max_digits=28, decimal_places=8)


def add_routes(app: web.Application, exchange: PrivateExchange) -> None:
    """Register the control of the accounts."""
    control = _BooksControl(exchange)
    add_control(app, "GET", "/control/accounts", NoFields, control.list_accounts)
    add_control(app, "POST", "/control/accounts", NewAccount, control.open_account)
    add_control(app, "PATCH", "/control/accounts", AccountSettings, control.change_account)
    add_control(app, "POST", "/control/deposit", Deposit, control.deposit)
    add_control(app, "POST", "/control/withdraw", Withdrawal, control.withdraw)
    add_control(app, "GET", "/control/books", NoFields, control.read_books)


class _BooksControl:
    """The actions on the books."""

    def __init__(self, exchange: PrivateExchange) -> None:
        self._exchange = exchange
        self._books = exchange.books

    def list_accounts(self, _: NoFields) -> dict[str, Any]:
        """List the accounts and their settings, without their secrets."""
        return {"accounts": [_to_json(account) for account in self._books.accounts()]}

    def open_account(self, form: NewAccount) -> dict[str, Any]:
        """Open an account with an API key, a secret and first deposits by asset."""
        if self._books.find_account(form.api_key) is not None:
            raise ValueError(f"There is an account with the key {form.api_key!r} already. Choose another key.")
        now_ms = self._exchange.clock.now_ms()
        deposits = [
            Deposit(api_key=form.api_key, asset=asset, amount=amount) for asset, amount in form.balances.items()
        ]
        with self._books.transaction():
            account = self._books.open_account(form.api_key, form.api_secret, now_ms, **_named(form))
            for deposit in deposits:
                self._books.deposit(account.account_id, deposit.asset, deposit.amount, now_ms)
        return _to_json(account)

    def change_account(self, form: AccountSettings) -> dict[str, Any]:
        """Change settings of an account, such as enable_withdrawals of its key."""
        return _to_json(self._books.change_account(self._find(form.api_key), **_named(form)))

    def deposit(self, form: Deposit) -> dict[str, Any]:
        """Deposit an amount of an asset."""
        account = self._find(form.api_key)
        movement = self._books.deposit(account.account_id, form.asset, form.amount, self._exchange.clock.now_ms())
        return movement.model_dump(mode="json")

    def withdraw(self, form: Withdrawal) -> dict[str, Any]:
        """Withdraw an amount of an asset that is free."""
        account = self._find(form.api_key)
        now_ms = self._exchange.clock.now_ms()
        try:
            movement = self._books.withdraw(account.account_id, form.asset, form.amount, form.fee, now_ms)
        except OverdrawnError as error:
            raise ValueError(f"{error} Withdraw less.") from error
        return movement.model_dump(mode="json")

    def read_books(self, _: NoFields) -> dict[str, Any]:
        """Tell the truth: of every account its balances, orders, order lists, trades, deposits and withdrawals."""
        self._exchange.settle_all()
        return {"accounts": {account.api_key: self._read(account.account_id) for account in self._books.accounts()}}

    def _read(self, account_id: int) -> dict[str, Any]:
        books, everything = self._books, Page()
        return {
            "balances": {
                asset: {"free": str(balance.free), "locked": str(balance.locked)}
                for asset, balance in books.balances(account_id).items()
            },
            "orders": [order.model_dump(mode="json") for order in books.orders(account_id, everything)],
            "order_lists": [each.model_dump(mode="json") for each in books.order_lists(account_id, everything)],
            "trades": [trade.model_dump(mode="json") for trade in books.trades(account_id, everything)],
            "movements": [movement.model_dump(mode="json") for movement in books.movements(account_id)],
        }

    def _find(self, api_key: str) -> Account:
        account = self._books.find_account(api_key)
        if account is None:
            known = ", ".join(each.api_key for each in self._books.accounts())
            raise LookupError(f"There is no account with the key {api_key!r}. There are: {known or 'none'}.")
        return account


def _named(form: Settings) -> dict[str, Any]:
    return form.model_dump(include=set(Settings.model_fields), exclude_none=True)


def _to_json(account: Account) -> dict[str, Any]:
    return account.model_dump(mode="json", exclude={"api_secret"})
