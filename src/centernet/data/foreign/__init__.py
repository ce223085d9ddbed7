"""Data sets as other tools leave them: found in a folder, read, split, and written as COCO-format JSON."""
