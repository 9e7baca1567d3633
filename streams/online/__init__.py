"""How does the online store follow?"""
