"""Files: what comes from outside is read, and what must be whole is written."""
