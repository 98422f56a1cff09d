//! What an error of the database means for who meets it.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// First and longest pause before something is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(500));

/// Pauses that grow, until there is no time left.
pub(super) struct Pause {
    next: Duration,
    deadline: Instant,
}

impl Pause {
    pub(super) fn until(deadline: Instant) -> Self {
        Self { next: PAUSE.0, deadline }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The error of the last try: there is no time for another one.
    pub(super) async fn wait(&mut self, error: sqlx::Error) -> Result<(), sqlx::Error> {
        let next_try = Instant::now() + self.next;
        if next_try > self.deadline {
            return Err(error);
        }
        tracing::debug!(%error, "the database is asked again");
        self.next = (self.next * 2).min(PAUSE.1);
        sleep_until(next_try).await;
        Ok(())
    }
}

/// Whether what failed may succeed when it is tried again: the connection is lost or the server is just coming or going, or another
/// transaction was in the way.
pub(super) fn may_pass(error: &sqlx::Error) -> bool {
    let Some(code) = code(error) else {
        return match error {
            // What a peer says that cannot be trusted, or does not speak TLS.
            sqlx::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
            // A connection that ends while TLS is asked for is reported as a wrong answer.
            sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
            _ => false,
        };
    };
    let code = &*code;
    // Connection lost; rolled back (serialization, deadlock).
    code.starts_with("08")
        || code.starts_with("40")
        || matches!(
            code,
            "23505" // Two commits appended evidence to one machine. Nothing else can meet a unique key.
            | "25006" // The server is a standby (yet).
            | "25P03" // This process was asleep in a transaction.
            | "53300" // Too many connections.
            | "55P03" // Somebody else has the row.
            | "57P01" | "57P02" | "57P03" | "57P05" // Shutting down, crashed, starting up, idle too long.
        )
}

/// Whether it is the content of a transaction that the server refuses, so that a part of it might be stored.
pub(super) fn is_about_content(error: &sqlx::Error) -> bool {
    // Data that cannot be, no disk or memory, a limit exceeded; the time of a statement.
    code(error).is_some_and(|code| ["22", "53", "54"].contains(&&code[..2]) || code == "57014")
}

/// Whether a COMMIT that failed so was rolled back for sure.
pub(super) fn is_rolled_back(error: &sqlx::Error) -> bool {
    // Not all of class 40: 40003 means that the server itself does not know.
    code(error).is_some_and(|code| code == "40001" || code == "40P01")
}

/// A connection that is as good as lost.
pub(super) fn lost(why: &str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why))
}

/// The error's SQLSTATE: five characters.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    (code.len() == 5 && code.is_ascii()).then(|| code.into_owned())
}
