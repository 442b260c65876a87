"""Every table of the lake a trial was made from, by name and version, so that none of them is deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; trials recorded before name the version of their bars only."""
    op.add_column("trials", sa.Column("data_versions", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    with op.batch_alter_table("trials") as table:
        table.drop_column("data_versions")
