"""``./run translate``: the catalogues of texts in src/gantry/locale."""
