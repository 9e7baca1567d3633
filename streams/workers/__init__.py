"""How do stages run as processes, and in turns?"""
