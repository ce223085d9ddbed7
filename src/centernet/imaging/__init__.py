"""Pixels: reading and writing images and video, the one warp and the one normalisation, and drawing; the only part that uses OpenCV."""
