"""A package of a user's own: what the tests name in YAML as `minnow:NAME`."""
