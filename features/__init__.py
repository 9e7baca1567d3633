"""What do we know about this user and this merchant?"""
