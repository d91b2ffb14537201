"""DICOM images: what a file says of itself, its values, and the series that files make up."""
