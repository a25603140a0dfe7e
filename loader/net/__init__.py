"""HTTP, and whom it may ask: sessions, addresses, patience, and the faults of a network."""
