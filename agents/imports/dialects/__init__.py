"""The dialects that are read, one a file. How one is added: `faultgym.agents.imports.dialect`."""
