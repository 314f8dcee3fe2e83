"""The parts of mode=downstream: a run answers the questions of lm-eval's tasks."""
