"""Tables of text: their lines, their columns, and what the fields of a column are."""
