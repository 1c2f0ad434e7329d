"""What a plan may say beyond the shape of its records: targets, chats, alerts."""
