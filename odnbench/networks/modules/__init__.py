"""What can stand in the slots of the network."""
