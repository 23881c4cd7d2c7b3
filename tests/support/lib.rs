//! Support shared by the tests and the fuzz targets.
