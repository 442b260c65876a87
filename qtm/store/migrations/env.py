"""Run the migrations on the connection `open_database` hands over."""

from alembic import context

from qtm.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
