"""What columns may hold: types guessed from cells, verified on every row, and widened."""
