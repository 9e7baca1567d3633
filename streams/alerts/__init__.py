"""What is reported to people, and to whom?"""
