"""How risky are users, over months?"""
