"""The table of the platform's health. Every instant is UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, DateTime, SmallInteger, Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


class HealthRecordRow(SQLModel, table=True):
    """The newest `lib.health.figures.HealthRecord`, the only row; older ones are in the flow's artifacts."""

    __tablename__ = "health_record"
    __table_args__: ClassVar = (CheckConstraint("number = 1", name="health_record_is_one"),)

    number: int = Field(1, primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=DateTime(timezone=True))
    record: dict[str, Any] = Field(sa_type=JSONB)


HEALTH_RECORD: Table = SQLModel.metadata.tables["health_record"]
