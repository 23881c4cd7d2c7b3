//! Distance kernels: numbers in, numbers out.
