"""Tables of BigQuery as a place for exports of metadata."""
