"""How does it run?"""
