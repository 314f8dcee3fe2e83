"""What is measured of finished texts: the judges, what they read, and held-out text."""
