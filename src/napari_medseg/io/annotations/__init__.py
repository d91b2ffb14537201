"""One module, one format of outlines."""
