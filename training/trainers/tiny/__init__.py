"""`tiny`: a small Llama and its tokenizer, trained from nothing on the expert's traces."""
