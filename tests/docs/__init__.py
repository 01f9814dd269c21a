"""What the documents say, executed and looked up."""
