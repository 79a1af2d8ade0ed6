"""What a study definition says, and the rules that it must keep."""
