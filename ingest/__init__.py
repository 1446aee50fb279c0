"""The door: accept webhooks over HTTP and write each, byte for byte, to the raw topic before answering 200."""
