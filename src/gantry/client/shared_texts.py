SHARED: tuple[str, ...] = ()
