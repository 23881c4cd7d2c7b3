//! Reads and writes vectors in files of other formats.
