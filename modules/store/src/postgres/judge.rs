//! Which commits of a group must be refused, and by what.

use semper_support::archive::Commit;
use sqlx::PgConnection;

use crate::work::Standings;

/// Reads what stands. The transaction is over afterwards; after an error the connection must not be used again.
pub(super) async fn read_standings<'a>(
    connection: &mut PgConnection,
    commits: impl Iterator<Item = &'a Commit> + Clone + Send,
) -> Result<Standings, sqlx::Error> {
    // One snapshot: otherwise a commit could be refused for a reason that held only together with an earlier one.
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    let (machines, inputs): (Vec<&[u8]>, Vec<&[u8]>) = commits
        .clone()
        .flat_map(|commit| &commit.consumed)
        .map(|consumed| (&*consumed.key, consumed.input.as_bytes().as_slice()))
        .unzip();
    let sql = "SELECT c.machine, c.input FROM consumed AS c
               JOIN unnest($1::bytea[], $2::bytea[]) AS n (machine, input) ON c.machine = n.machine AND c.input = n.input";
    let consumed = sqlx::query_as(sql).bind(machines).bind(inputs).fetch_all(&mut *connection).await?;

    let states: Vec<&[u8]> = commits.clone().flat_map(|commit| &commit.states).map(|state| &*state.key).collect();
    let sql = "SELECT machine, version FROM states WHERE machine = ANY ($1::bytea[])";
    let versions = sqlx::query_as(sql).bind(states).fetch_all(&mut *connection).await?;

    let (spaces, keys): (Vec<&[u8]>, Vec<&[u8]>) =
        commits.clone().flat_map(|commit| &commit.facts).map(|fact| (fact.space.as_bytes(), &*fact.key)).unzip();
    let sql = "SELECT f.space, f.key, f.value FROM facts AS f
               JOIN unnest($1::bytea[], $2::bytea[]) AS n (space, key) ON f.space = n.space AND f.key = n.key";
    let facts: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> =
        sqlx::query_as(sql).bind(spaces).bind(keys).fetch_all(&mut *connection).await?;

    let messages = commits.flat_map(|commit| &commit.outbox);
    let messages: Vec<&[u8]> = messages.map(|message| message.id.as_bytes().as_slice()).collect();
    let sql = "SELECT id FROM outbox WHERE id = ANY ($1::bytea[])";
    let waiting = sqlx::query_scalar(sql).bind(messages).fetch_all(&mut *connection).await?;

    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(Standings {
        consumed: consumed.into_iter().collect(),
        versions: versions.into_iter().collect(),
        facts: facts.into_iter().map(|(space, key, value)| ((space, key), value)).collect(),
        waiting: waiting.into_iter().collect(),
    })
}
