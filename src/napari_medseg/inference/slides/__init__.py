"""Slides: larger than memory, in blocks, on disk; killed, continued, shared between machines."""
