"""From captioned tracks to WebDataset tars and the dataset's tables."""
