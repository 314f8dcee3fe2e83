"""The parts of mode=audit: samples of a run, and the table of what is fooled."""
