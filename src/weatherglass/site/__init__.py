"""What the cloud should be, pure."""
