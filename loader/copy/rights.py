"""A relation -> whether the role may do what a load does, and which rights it lacks.

Without them the load would fail after hours of work. Holds one line for each right that is lacking.
"""

from __future__ import annotations

from loader.copy import statements
from loader.copy.database import ours
from loader.copy.relation import Relation
from loader.errors import PermissionDenied

# Asked for first: without them Postgres does not tell of what is in the schema.
_LACKING_IN_SCHEMA = """
    SELECT 'permission denied for schema public: ' || quote_ident(current_user) || ' lacks '
        || string_agg(privilege, ' and ')
    FROM unnest(ARRAY['USAGE', 'CREATE']) AS privilege
    WHERE NOT has_schema_privilege('public', privilege) HAVING count(*) > 0
"""


def check(relation: Relation) -> None:
    """See whether the role may do what a load does.

    Args:
        relation: Its connection is in autocommit mode; the table need not be there.

    Raises:
        PermissionDenied: Says which rights are missing.
    """
    with ours("looking at the role's rights"):
        rows = relation.connection.execute(_LACKING_IN_SCHEMA).fetchall()
        if not rows:
            table = {"name": relation.name, "live": relation.live_regclass}
            rows = relation.connection.execute(statements.read("rights.lacking"), table).fetchall()
    if rows:
        raise PermissionDenied(
            "; ".join(row[0] for row in rows), hint="connect as the DataStore's write role"
        )
