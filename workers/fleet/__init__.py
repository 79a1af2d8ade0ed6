"""The processes of one machine, one for each device."""
