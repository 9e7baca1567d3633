"""What do running stages obey?"""
