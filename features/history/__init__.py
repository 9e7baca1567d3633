"""How is the past read: whose columns mean what, in which order?"""
