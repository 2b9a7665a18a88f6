"""Chats from elsewhere: read with nothing taken on trust, and proven where they name a task of faultgym."""
