"""What a person sees: funnel, failures, samples, retrieval table; as text, Markdown and pictures."""
