"""Running traces on machines."""
