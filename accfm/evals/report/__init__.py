"""One evaluation as numbers, a table and a page."""
