"""Real services, started by the tests on ports of their own; nothing of the machine's is touched."""
