"""An index to count a strategy's orders of a day by, which caps ask for before every order."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_orders_decided", "orders", ["account", "strategy", "decided_ms"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_orders_decided", "orders")
