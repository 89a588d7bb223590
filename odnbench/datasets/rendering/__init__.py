"""The parametric head behind rendered faces: parameters, skin, mesh, occluders."""
