"""Can the proofs fail? Small defects, each in a copy of the project, and the check that must turn red."""
