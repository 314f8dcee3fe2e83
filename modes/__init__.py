"""What `mode=` chooses: each module connects the rooms for one kind of work; the folders hold their
parts."""
