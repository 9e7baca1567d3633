"""Which rows does a record become?"""
