"""How do events move, and how is nothing lost?"""
