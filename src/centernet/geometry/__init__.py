"""Boxes, affine maps and Gaussian peaks: pure NumPy, no images and no files."""
