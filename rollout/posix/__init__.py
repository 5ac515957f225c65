"""What is said to a host, as pure text and values: no sockets, no files, no clock."""
