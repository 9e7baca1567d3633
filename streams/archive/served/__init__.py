"""What was decided, as rows to learn from?"""
