"""One LightningModule per algorithm."""
