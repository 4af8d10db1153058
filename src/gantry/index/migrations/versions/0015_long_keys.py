"""Keys that PostgreSQL has room for, whatever the texts are: long terms are cut, and of ids its indexes have the
beginning."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_CHARACTERS = 500
_CUT = """
INSERT INTO study_term SELECT store_id, kind, substr(term, 1, {most}), study_id FROM study_term
WHERE length(term) > {most} ON CONFLICT DO NOTHING
"""
_REMOVE = "DELETE FROM study_term WHERE length(term) > {most}"


def upgrade() -> None:
    op.execute(_CUT.format(most=_CHARACTERS))
    op.execute(_REMOVE.format(most=_CHARACTERS))
    if op.get_bind().dialect.name == "sqlite":  # which has room for any
        return
    for name, column in (("study_patient", "patient_id"), ("study_accession", "accession_number")):
        op.drop_index(name, "study")
        op.create_index(f"{name}_start", "study", ["store_id", sa.text(f'"left"({column}, {_CHARACTERS})')])
