"""Is a model still good?"""
