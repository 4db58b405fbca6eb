"""How texts are compared by their words: cut, reduced to stems, weighed by how rare they are."""
