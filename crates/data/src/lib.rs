//! From disk to batch: datasets, vocabulary, stored features, packed batches.
