//! What a node does for a backup: it copies its archive into its own directory, says what would be lost, and notes that a backup was made. It cannot make
//! one: it has no way to the vault's files.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use semper_core::time::Time;
use semper_store::SqliteArchive;
use semper_support::archive::ReadError;
use semper_transfer::payment::operation::PurseId;

use super::server::Failure;
use super::{BackedOrder, BackupView, RestoredView};
use crate::backup;
use crate::home::Home;
use crate::node::{Backed, Node, NodeError};

/// What is copied.
#[derive(Clone)]
pub struct Copied {
    /// The node.
    pub node: Arc<Node>,
    /// Its archive.
    pub archive: Arc<SqliteArchive>,
    /// Its data directory.
    pub home: Home,
}

/// `GET /backup`, `POST /backup` (one was made), `POST /backup/copy`.
pub fn backup_routes(copied: Copied) -> Router {
    Router::new().route("/backup", get(standing).post(made)).route("/backup/copy", post(copy)).with_state(copied)
}

/// What would be lost with this machine, and what is not settled after a restore.
///
/// # Errors
/// Storage.
pub async fn view(node: &Node) -> Result<BackupView, ReadError> {
    let at_risk = node.at_risk().await?;
    let restored = node.unsettled().await?.map(|unsettled| RestoredView {
        from: unsettled.mark.from.unix(),
        at: unsettled.mark.at.unix(),
        deals: unsettled.deals,
        purses: unsettled.purses,
    });
    Ok(BackupView {
        last: at_risk.last.map(Time::unix),
        deals: at_risk.deals,
        money: at_risk.money.iter().map(ToString::to_string).collect(),
        restored,
    })
}

async fn standing(State(on): State<Copied>) -> Result<Json<BackupView>, Failure> {
    Ok(Json(view(&on.node).await.map_err(NodeError::Read)?))
}

async fn made(State(on): State<Copied>, Json(order): Json<BackedOrder>) -> Result<Json<()>, Failure> {
    let purses = order.purses.iter().filter_map(|id| PurseId::parse(id)).collect();
    let (time, deals) = (Time::from_unix(order.time), order.deals);
    on.node.note_backup(&Backed { time, purses, deals }).await?;
    Ok(Json(()))
}

async fn copy(State(on): State<Copied>) -> Result<Json<()>, Failure> {
    let copied = backup::copy_archive(&on.archive, &on.home).await;
    let failed = |error| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the archive was not copied", error);
    copied.map_err(failed)?;
    Ok(Json(()))
}
