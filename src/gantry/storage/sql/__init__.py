"""SQL over tables in directories: GoogleSQL is translated, and run by DuckDB in a process of its own."""
