"""Networks that hold one model for each lane and train all of them at once."""
