"""What does a stage remember of its keys?"""
