"""What goes wrong outside of War Room: children, the machine, the clock, the disk, the host."""
