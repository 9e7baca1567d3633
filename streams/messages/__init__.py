"""Which messages are there, on which topic, and what makes it valid?"""
