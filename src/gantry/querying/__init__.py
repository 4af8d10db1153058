"""Jobs: queries whose results are kept for a while, and what is written of them."""
