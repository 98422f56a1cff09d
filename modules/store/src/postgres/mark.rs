//! What became of a transaction whose COMMIT was not answered.
//!
//! Every transaction writes a mark: a row under a random identifier. Who lost the connection writes a row under the same identifier that
//! says the opposite. Only one of the two can be stored, and the database decides: it lets the second wait until the transaction of the
//! first has ended. So the answer is never wrong, even if the first is still on its way when the question is asked; and the question can be
//! asked again if its own answer is lost.

use std::fmt::Write as _;

use sqlx::postgres::PgConnection;
use tokio::time::{Instant, timeout_at};

use super::Server;
use super::failure::{Pause, lost, may_pass};

/// The mark of one transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark([u8; 16]);

impl Mark {
    /// A mark that no transaction has.
    pub(super) fn fresh() -> Self {
        Self(rand::random())
    }

    /// The mark as SQL.
    pub(super) fn sql(self) -> String {
        let digits = self.0.iter().fold(String::with_capacity(32), |mut digits, byte| {
            write!(digits, "{byte:02x}").expect("a string can be written to");
            digits
        });
        format!("'\\x{digits}'::bytea")
    }

    /// Whether the transaction with this mark is stored. If it is not, it never will be.
    ///
    /// # Errors
    /// It cannot be known now: the server cannot be reached, or the transaction has not ended.
    pub(super) async fn is_stored(self, server: &Server) -> Result<bool, sqlx::Error> {
        let deadline = Instant::now() + server.patience;
        let mut pause = Pause::until(deadline);
        loop {
            match timeout_at(deadline, self.ask(server)).await {
                Err(_) => return Err(lost("what became of the transaction could not be found out in time")),
                Ok(Err(error)) if may_pass(&error) => pause.wait(error).await?,
                Ok(done) => return done,
            }
        }
    }

    async fn ask(self, server: &Server) -> Result<bool, sqlx::Error> {
        let mut connection = server.connect().await?;
        self.settle(&mut connection).await
    }

    /// Writes in either case: its own COMMIT comes after the one in question, and so is answered only when a standby has both.
    async fn settle(self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let sql = "INSERT INTO marks (id, stored) VALUES ($1, FALSE)
                   ON CONFLICT (id) DO UPDATE SET stored = marks.stored RETURNING stored";
        // All rows, and so the end of the statement: one row would be handed out before it is durable.
        let stored: Vec<bool> = sqlx::query_scalar(sql).bind(self.0.as_slice()).fetch_all(connection).await?;
        stored.first().copied().ok_or(sqlx::Error::RowNotFound)
    }
}
