"""How does each thing count exactly once?"""
