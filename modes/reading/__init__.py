"""How a run reads a text: passes, protocols, several texts, files beside the record."""
