"""The study definition: its fields, and the rules that it must keep."""
