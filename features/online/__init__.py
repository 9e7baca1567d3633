"""How is what we know served now, in Feast and Redis?"""
