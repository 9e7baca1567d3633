"""Where is a model kept, and under which name?"""
