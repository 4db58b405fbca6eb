"""The catalog: needs in, ranked candidates out."""
