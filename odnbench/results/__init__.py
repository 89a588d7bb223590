"""Trial folders, plans and states on disk: what trainers write and all others read."""
