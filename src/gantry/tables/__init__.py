"""Metadata as rows of a table: what an instance's header and its row in the index say, column by column."""
