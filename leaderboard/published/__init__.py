"""Published results and which of our rows they stand beside."""
