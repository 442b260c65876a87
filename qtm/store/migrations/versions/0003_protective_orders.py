"""What an order is for, and the levels of a protective one."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; every order so far was one towards a target."""
    with op.batch_alter_table("orders") as table:
        table.add_column(sa.Column("purpose", sa.String(length=12), nullable=False, server_default="TARGET"))
        table.add_column(sa.Column("stop_price", sa.Text(), nullable=True))
        table.add_column(sa.Column("take_profit", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop the columns."""
    with op.batch_alter_table("orders") as table:
        table.drop_column("take_profit")
        table.drop_column("stop_price")
        table.drop_column("purpose")
