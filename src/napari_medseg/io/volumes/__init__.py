"""Volumes in one file (NIfTI, NRRD, MetaImage, NumPy): their headers, their voxels, their place in space."""
