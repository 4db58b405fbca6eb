"""JSON-RPC between two neighbours, as bytes: read as far as needed, passed on as it came."""
