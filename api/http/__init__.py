"""How do programs ask, one transaction at a time?"""
