"""What does each process say of itself, in numbers?"""
