"""The contenders of `faultgym bench peers`: scripts that run in processes of their own."""
