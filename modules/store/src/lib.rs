//! Modules of the archive port ([`semper_support::archive`]): where every state, message and proof is kept.
//!
//! - [`MemoryArchive`]: for tests and the simulator; it is small enough to be checked by reading, and so says what the others mean.
//! - [`SqliteArchive`]: one directory of one party; embedded, durable, group commit.
//! - [`PostgresArchive`]: one schema of a PostgreSQL server, which any number of processes have open; for third parties with many users.
//!
//! All pass the kit `semper_support::archive::contract`, which says what the port promises. A module here never decides anything:
//! it stores, refuses and finds again. It must never answer before what it answers is durable.
//!
//! Start reading at [`MemoryArchive`], then `rows.rs` (what a commit writes, in any database) and `queue.rs` (what is written together),
//! then `sqlite/mod.rs` and `sqlite/writer.rs`, then `postgres/mod.rs` and `postgres/writer.rs`.
//!
//! Source: DESIGN §12, `spec/archive.md`.

mod engine;
mod memory;
mod postgres;
mod queue;
mod read;
mod refusal;
mod rows;
mod sqlite;
mod sum;
mod work;

pub use memory::MemoryArchive;
pub use postgres::{PostgresArchive, PostgresOpenError, PostgresOptions};
pub use sqlite::{OpenError, SqliteArchive, SqliteOptions};
