"""Where tables of metadata are written to: directories of Parquet files."""
