"""Is the deployment well, and if not, what helps?"""
