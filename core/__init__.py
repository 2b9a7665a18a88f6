"""What every package stands on: errors, hashing, JSON, text, files. Imports nothing of faultgym."""
