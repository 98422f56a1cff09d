//! Which commits of a group must be refused, and by what.

use semper_support::archive::Commit;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, Sqlite, SqliteConnection};

use super::statements::{Template, chunk};
use crate::engine::arguments;
use crate::rows::Column::{self, Bytes, Text};
use crate::work::Standings;

/// Reads what stands of all that commits touch. Only the writer may call it, outside of a transaction: nobody else writes meanwhile.
pub(super) async fn read_standings<'a>(
    connection: &mut SqliteConnection,
    commits: impl Iterator<Item = &'a Commit> + Clone + Send,
) -> Result<Standings, sqlx::Error> {
    let consumed = commits.clone().flat_map(|commit| &commit.consumed);
    let consumed: Vec<_> = consumed.map(|one| vec![Bytes(&one.key), Bytes(one.input.as_bytes())]).collect();
    let states = commits.clone().flat_map(|commit| &commit.states);
    let states: Vec<_> = states.map(|state| vec![Bytes(&state.key)]).collect();
    let facts = commits.clone().flat_map(|commit| &commit.facts);
    let facts: Vec<_> = facts.map(|fact| vec![Text(&fact.space), Bytes(&fact.key)]).collect();
    let messages = commits.flat_map(|commit| &commit.outbox);
    let messages: Vec<_> = messages.map(|message| vec![Bytes(message.id.as_bytes())]).collect();

    let facts: Vec<(String, Vec<u8>, Vec<u8>)> = look_up(connection, &FACTS, &facts).await?;
    let waiting: Vec<(Vec<u8>,)> = look_up(connection, &MESSAGES, &messages).await?;
    Ok(Standings {
        consumed: look_up(connection, &CONSUMED, &consumed).await?.into_iter().collect(),
        versions: look_up(connection, &STATES, &states).await?.into_iter().collect(),
        facts: facts.into_iter().map(|(space, key, value)| ((space.into_bytes(), key), value)).collect(),
        waiting: waiting.into_iter().map(|(id,)| id).collect(),
    })
}

const CONSUMED: Template = Template {
    head: "SELECT t.machine, t.input FROM (VALUES ",
    row: "(?, ?)",
    tail: ") AS n CROSS JOIN consumed AS t ON t.machine = n.column1 AND t.input = n.column2",
};
const STATES: Template = Template {
    head: "SELECT t.machine, t.version FROM (VALUES ",
    row: "(?)",
    tail: ") AS n CROSS JOIN states AS t ON t.machine = n.column1",
};
const FACTS: Template = Template {
    head: "SELECT s.name, t.key, t.value FROM (VALUES ",
    row: "(?, ?)",
    tail: ") AS n CROSS JOIN spaces AS s ON s.name = n.column1
             CROSS JOIN facts_by_space AS t ON t.space = s.id AND t.key = n.column2",
};
const MESSAGES: Template = Template {
    head: "SELECT t.id FROM (VALUES ",
    row: "(?)",
    tail: ") AS n CROSS JOIN outbox AS t ON t.id = n.column1",
};

/// The rows under some keys.
async fn look_up<T>(
    connection: &mut SqliteConnection,
    template: &Template,
    keys: &[Vec<Column<'_>>],
) -> Result<Vec<T>, sqlx::Error>
where
    T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let (mut found, mut keys) = (Vec::new(), keys);
    while !keys.is_empty() {
        let (now, later) = keys.split_at(chunk(keys.len()));
        keys = later;
        let mut sql = String::new();
        template.write(&mut sql, now.len());
        let query = sqlx::query_as_with(AssertSqlSafe(sql), arguments::<Sqlite>(&now.concat()));
        found.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(found)
}
