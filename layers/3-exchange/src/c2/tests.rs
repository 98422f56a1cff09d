//! Unit tests of the C2 machine.
