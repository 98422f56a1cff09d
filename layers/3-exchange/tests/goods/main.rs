//! Information goods with the real cryptography: encoding and downloading, the attacks by name, the vectors of `spec/vectors/goods.json`.

#![allow(clippy::unwrap_used)]

mod articles;
mod attacks;
mod vectors;
mod world;
