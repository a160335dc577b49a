"""Where corpora come from: one reader per public source, the generated corpus, and downloads."""
