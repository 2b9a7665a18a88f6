"""What tests share: policies, suites, servers, stored runs. Processes that tests start find it too."""
