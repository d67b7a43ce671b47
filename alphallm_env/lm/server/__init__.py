"""Any OpenAI-compatible server as a language model: the client, a pool of servers with retries, label probabilities."""
