"""The form by which a person approves or rejects orders before they are sent."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, Field, WithJsonSchema

from lib.allocation.stores import Approval, Decision
from lib.params import Words

BY_SETTINGS = "settings"  # who approves where the account needs no person's approval
MOST_SLIPPAGE_PCT = Decimal(20)

Slippage = Annotated[
    Decimal,
    Field(gt=0, le=MOST_SLIPPAGE_PCT, max_digits=6),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": int(MOST_SLIPPAGE_PCT)}),
]


class ApprovalForm(BaseModel):
    """What whoever decides has to say; a form for other orders adds its own fields.

    Attributes:
        approved_by: A person's name; kept with the orders.
        decision: Approved or rejected.
        note: In that person's words.
        max_slippage_pct: How much worse than its reference price an order may fill; None: the settings' limit.
    """

    approved_by: Words = Field(description="Your name; it is kept with the orders.")
    decision: Decision = Field(description="Nothing is sent unless this is approved.")
    note: str = Field("", description="Why, in your words; kept with the decision.")
    max_slippage_pct: Slippage | None = Field(
        None, description="How much worse than its reference price an order may fill, in percent; empty: the settings'."
    )

    def to_approval(self, at: datetime) -> Approval:
        """Return the decision as it is kept."""
        return Approval(self.decision, self.approved_by, at, self.note.strip(), max_slippage_pct=self.max_slippage_pct)
