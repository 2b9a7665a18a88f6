"""What several verbs share. Nothing here is a verb, and nothing here imports one."""
