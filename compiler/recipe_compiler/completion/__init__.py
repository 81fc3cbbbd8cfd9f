"""What may be written at a place: for shells and for editors."""
