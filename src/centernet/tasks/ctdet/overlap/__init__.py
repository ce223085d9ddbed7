"""How far predicted boxes are from overlapping the true ones."""
