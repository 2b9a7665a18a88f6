"""Models as policies: servers, engines in this process, and how they are asked and read."""
