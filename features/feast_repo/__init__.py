"""The files of the Feast repository; ``feast_repo_writer`` copies them to where it is used, for Feast imports all Python beside them."""
