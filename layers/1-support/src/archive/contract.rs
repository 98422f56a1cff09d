//! The contract kit that every module of [`super::Archive`] must pass.
