"""OME-Zarr: its metadata, its images, its chunks."""
