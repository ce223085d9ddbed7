"""Where average precision is lost: a pass over a data set that measures, substitutes and judges, and the page that says so."""
