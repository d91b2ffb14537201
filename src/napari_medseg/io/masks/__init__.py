"""Masks in: from stored values, colours or layers to classes."""
