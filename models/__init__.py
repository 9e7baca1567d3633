"""What do we decide, with which model, and is it still good?"""
