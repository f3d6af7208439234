"""`e2b/chart`: what a matplotlib figure shows, as data."""
