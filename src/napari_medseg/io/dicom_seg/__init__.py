"""DICOM segmentations: segments and their codes, and the frames that hold them."""
