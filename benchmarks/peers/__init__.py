"""Programs of other packages; run by an interpreter that has them."""
