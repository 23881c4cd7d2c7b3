//! RVF: an embedded, single-file vector store.
pub mod ingest;
pub mod kernel;
