"""Journals -> columns, quickly and in bounded memory."""
