//! Which commits of a group must be refused, and by what.

use std::collections::{BTreeMap, BTreeSet};

use semper_core::hash::Digest;
use semper_support::archive::{Commit, Consumed, Fact};
use sqlx::PgConnection;

use crate::refusal::Standing;

/// What stands of everything that a group of commits touches, at one moment.
#[derive(Debug, Default)]
pub(super) struct Standings {
    consumed: BTreeSet<(Vec<u8>, Vec<u8>)>,
    versions: BTreeMap<Vec<u8>, i64>,
    facts: BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>>,
    waiting: BTreeSet<Vec<u8>>,
}

impl Standings {
    /// Reads what stands. The transaction is over afterwards; after an error the connection must not be used again.
    pub(super) async fn read<'a>(
        connection: &mut PgConnection,
        commits: impl Iterator<Item = &'a Commit> + Clone + Send,
    ) -> Result<Self, sqlx::Error> {
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
        Ok(Self {
            consumed: consumed.into_iter().collect(),
            versions: versions.into_iter().collect(),
            facts: facts.into_iter().map(|(space, key, value)| ((space, key), value)).collect(),
            waiting: waiting.into_iter().collect(),
        })
    }
}

impl Standing for Standings {
    fn is_consumed(&self, consumed: &Consumed) -> bool {
        self.consumed.contains(&(consumed.key.clone(), consumed.input.as_bytes().to_vec()))
    }

    fn version(&self, key: &[u8]) -> u64 {
        self.versions.get(key).map_or(0, |version| u64::try_from(*version).unwrap_or(0))
    }

    fn value(&self, fact: &Fact) -> Option<&[u8]> {
        self.facts.get(&(fact.space.clone().into_bytes(), fact.key.clone())).map(Vec::as_slice)
    }

    fn waits(&self, id: &Digest) -> bool {
        self.waiting.contains(id.as_bytes().as_slice())
    }
}
