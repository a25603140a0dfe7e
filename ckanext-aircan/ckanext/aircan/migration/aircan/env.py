"""Runs the migrations, for `ckan db upgrade -p aircan`."""

from alembic import context
from sqlalchemy import engine_from_config, pool

_VERSIONS = "aircan_alembic_version"


def _migrate_offline() -> None:
    url = context.config.get_main_option("sqlalchemy.url")
    context.configure(url=url, literal_binds=True, version_table=_VERSIONS)
    with context.begin_transaction():
        context.run_migrations()


def _migrate_online() -> None:
    section = context.config.get_section(context.config.config_ini_section)
    engine = engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, version_table=_VERSIONS)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    _migrate_offline()
else:
    _migrate_online()
