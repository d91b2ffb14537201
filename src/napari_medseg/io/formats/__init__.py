"""One file = one format: a module here with a ``FORMAT`` is all that a new one needs."""
