"""Tokenizers, corpora, packing to memory-mapped tokens, and resumable loaders."""
