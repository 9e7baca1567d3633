"""How does a model come about, from rows to a candidate?"""
