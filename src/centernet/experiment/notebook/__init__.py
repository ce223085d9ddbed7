"""The Python interface: what the commands do, for notebooks and programs. A thin layer: all of it is done by the commands' own parts."""
