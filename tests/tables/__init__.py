"""Tables that are collected from the tests themselves: which test tries which row, and how it ended."""
