"""What may be learnt from?"""
