//! What the two databases differ in when rows are read.

use std::future::Future;

use futures_util::stream::BoxStream;
use sqlx::{Database, Pool};

use crate::rows::Column;

/// A database that archives are kept in. Its SQL names what is bound `$1`, `$2`, ...
pub(crate) trait Engine: Database {
    /// Adds a value to what is bound to a statement.
    fn bind(arguments: &mut Self::Arguments, column: &Column<'_>);

    /// Runs a query and takes all its rows.
    fn fetch<'a>(
        pool: &'a Pool<Self>,
        sql: &'static str,
        columns: &'a [Column<'a>],
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send + 'a;

    /// Runs a query and takes its rows one by one.
    fn stream<'a>(
        connection: &'a mut Self::Connection,
        sql: &'static str,
    ) -> BoxStream<'a, Result<Self::Row, sqlx::Error>>;

    /// The bytes in a column.
    fn bytes(row: &Self::Row, column: &str) -> Result<Vec<u8>, sqlx::Error>;

    /// The text in a column.
    fn text(row: &Self::Row, column: &str) -> Result<String, sqlx::Error>;

    /// The integer in a column.
    fn int(row: &Self::Row, column: &str) -> Result<i64, sqlx::Error>;
}

/// What is bound to a statement.
pub(crate) fn arguments<E: Engine>(columns: &[Column<'_>]) -> E::Arguments {
    let mut arguments = E::Arguments::default();
    for column in columns {
        E::bind(&mut arguments, column);
    }
    arguments
}
