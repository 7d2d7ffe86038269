"""What the values of a table are like: profiles of columns that merge, exact where they say so, within stated bounds where not."""
