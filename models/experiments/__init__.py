"""Who is decided by which model?"""
