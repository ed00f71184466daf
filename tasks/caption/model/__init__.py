"""The captioner that lets a Music-LLM listen: prompt, schema, parsing, repair."""
