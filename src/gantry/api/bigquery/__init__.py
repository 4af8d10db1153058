"""The calls of BigQuery's API (v2) that read: queries and their results, datasets, tables, extracts to buckets."""
