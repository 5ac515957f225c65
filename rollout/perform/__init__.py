"""Effects: carry out one step, through values that a driver performs."""
