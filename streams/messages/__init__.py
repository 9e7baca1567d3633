"""What is said, on which topic, and what makes it valid?"""
