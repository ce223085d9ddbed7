"""What is wrong with a data set: its files, its boxes and its classes, each found by a function of its own."""
