"""What runs beside faultgym in `faultgym bench peers` and `rollout`: scripts, each a process of its own."""
