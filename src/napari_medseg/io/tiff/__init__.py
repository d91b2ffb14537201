"""TIFF: its pages, what its tags and OME-XML tell, and whether its pixels are whole."""
