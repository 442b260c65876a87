"""Examinations of candidates and their promotions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "examinations",
        sa.Column("examination_id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("data_version", sa.BigInteger(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("examined_by", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("examination_id", name=op.f("pk_examinations")),
    )
    op.create_index("ix_examinations_candidate", "examinations", ["candidate"], unique=False)
    op.create_table(
        "promotions",
        sa.Column("promotion_id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("candidate", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("rung", sa.String(length=16), nullable=False),
        sa.Column("granted_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("promotion_id", name=op.f("pk_promotions")),
        sa.UniqueConstraint("previous", name=op.f("uq_promotions_previous")),
    )
    op.create_index("ix_promotions_candidate", "promotions", ["candidate"], unique=False)


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("promotions")
    op.drop_table("examinations")
