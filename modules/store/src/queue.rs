//! The queue in front of the writers: bounded, and emptied in groups.

use std::sync::{Arc, Mutex, PoisonError};

use semper_support::archive::CommitError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Most commits that wait for a writer; more wait in their callers.
const COMMITS_MAX: usize = 1024;
/// Memory that waiting commits may take, in KiB; a commit that is larger waits until it is alone.
const KIB_MAX: u32 = 256 * 1024;
/// Most commits in one transaction.
const GROUP_COMMITS_MAX: usize = 256;
/// A transaction takes no further commit when it holds this many bytes.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Work that waits for a writer.
#[derive(Debug)]
pub(crate) struct Job<W> {
    pub(crate) work: W,
    bytes: usize,
    answer: oneshot::Sender<Result<(), CommitError>>,
    /// Its share of the memory that waiting work may take.
    _room: OwnedSemaphorePermit,
}

/// Where callers put work in.
#[derive(Debug)]
pub(crate) struct Entrance<W> {
    jobs: Mutex<Option<mpsc::Sender<Job<W>>>>,
    room: Arc<Semaphore>,
}

/// Where writers take work out.
#[derive(Debug)]
pub(crate) struct Exit<W> {
    jobs: mpsc::Receiver<Job<W>>,
    /// Did not fit into the last group.
    held: Option<Job<W>>,
}

/// An empty queue.
pub(crate) fn queue<W>() -> (Entrance<W>, Exit<W>) {
    let (sender, jobs) = mpsc::channel(COMMITS_MAX);
    let room = Arc::new(Semaphore::new(KIB_MAX as usize));
    (Entrance { jobs: Mutex::new(Some(sender)), room }, Exit { jobs, held: None })
}

impl<W> Entrance<W> {
    /// Has work of about `bytes` bytes done, and waits for the answer. Who stops waiting after it was put in has it done nevertheless.
    pub(crate) async fn submit(&self, work: W, bytes: usize) -> Result<(), CommitError> {
        let closed = || CommitError::Storage("the archive is closed".to_owned());
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(KIB_MAX);
        let room = self.room.clone().acquire_many_owned(kib).await.expect("the semaphore is never closed");
        let (answer, answered) = oneshot::channel();
        jobs.send(Job { work, bytes, answer, _room: room }).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(CommitError::Unknown("the writer was lost".to_owned())))
    }

    /// Takes no more work. The writers end when what waits is done.
    pub(crate) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl<W> Exit<W> {
    /// Waits for work and takes with it what waits already, up to the first that does not fit. `fits` is asked for each, the first too, which
    /// is taken in any case. `None` when the queue is closed and empty.
    pub(crate) async fn next_group(&mut self, mut fits: impl FnMut(&W) -> bool) -> Option<Vec<Job<W>>> {
        let first = match self.held.take() {
            Some(held) => held,
            None => self.jobs.recv().await?,
        };
        // Those that were just answered get their turn: what they commit next belongs into this group.
        tokio::task::yield_now().await;
        let mut bytes = first.bytes;
        fits(&first.work);
        let mut group = vec![first];
        while group.len() < GROUP_COMMITS_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(job) = self.jobs.try_recv() else { break };
            if !fits(&job.work) {
                self.held = Some(job);
                break;
            }
            bytes = bytes.saturating_add(job.bytes);
            group.push(job);
        }
        Some(group)
    }
}

impl<W> Job<W> {
    /// Answers the caller. Who no longer waits for the answer does not miss it: it can be read from the archive.
    pub(crate) fn answer(self, outcome: Result<(), CommitError>) {
        let _ = self.answer.send(outcome);
    }
}

/// Gives all the same error.
pub(crate) fn answer_all<W>(group: Vec<Job<W>>, error: &CommitError) {
    for job in group {
        job.answer(Err(error.clone()));
    }
}
