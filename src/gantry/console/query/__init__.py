"""The tab *Query*: SQL over the tables of metadata, and what can be done with the rows."""
