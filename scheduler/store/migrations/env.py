"""Runs migrations on the connection that `scheduler.store.schema` hands over."""

from alembic import context
from sqlmodel import SQLModel

from scheduler.store import tables

assert tables.UnitRow.__tablename__ in SQLModel.metadata.tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
