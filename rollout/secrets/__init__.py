"""Values of secrets: found on the controller when they are sent, held in memory, and taken out of what is shown."""
