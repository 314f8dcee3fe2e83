"""The choices of `mode=`: each module connects the rooms for one kind of work, folders hold their
parts."""
