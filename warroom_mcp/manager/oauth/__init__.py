"""Consent of a person to remote servers (OAuth): asked for, kept, used and renewed."""
