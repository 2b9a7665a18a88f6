"""The forms that traces are written in, one a file. How one is added: `faultgym.agents.imports.exports.form`."""
