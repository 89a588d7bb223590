"""The objective, Eq. (3), its nuclear norm, and one file per data term."""
