"""HTTP and what may be asked over it: sessions, addresses, patience, and the faults of a network."""
