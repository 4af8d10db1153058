"""``gantry check``: does all that is stored agree with itself? Nothing is changed."""
