"""Where do yesterday's values lie, and how are they joined to a moment?"""
