"""The table of bad input: what people write and type, what they are told, and which tests hold it to that."""
