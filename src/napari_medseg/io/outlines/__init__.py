"""Outlines: regions as polygons, read and written by ``annotations/``, filled into labels and traced from them."""
