"""The reference of the mechanisms, written from what the tests of the suites declare and read."""
