"""What tasks share whose objects are peaks of heatmaps; the name keeps it from being taken for a task."""
