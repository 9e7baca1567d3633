"""Has what comes in drifted from what models were made of?"""
