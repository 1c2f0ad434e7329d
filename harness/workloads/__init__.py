"""What prompts are made of beside words: recorded conversations and traffic, pictures, tools, schemas, echoes."""
