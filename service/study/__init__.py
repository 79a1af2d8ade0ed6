"""One study at work, behind one lock."""
