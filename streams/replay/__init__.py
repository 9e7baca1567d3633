"""How is history sent again, in which order?"""
