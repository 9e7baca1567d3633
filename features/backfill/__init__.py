"""How are features computed for days gone by?"""
