"""Which input, state and output does each stage join?"""
