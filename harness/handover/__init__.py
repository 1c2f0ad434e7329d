"""What a launcher hands to Locust processes, here or on other hosts: the plan, its files, its questions."""
