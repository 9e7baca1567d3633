"""May a model serve?"""
