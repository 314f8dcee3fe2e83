"""How texts are drawn: plans, ways, batches, and the files and pages made of them."""
