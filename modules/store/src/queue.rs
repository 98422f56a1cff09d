//! The queue in front of the writers: bounded, and emptied in groups.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use semper_support::archive::CommitError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::work::Work;

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
pub(crate) struct Job {
    pub(crate) work: Work,
    answer: oneshot::Sender<Result<(), CommitError>>,
    /// Its share of the memory that waiting work may take.
    _room: OwnedSemaphorePermit,
}

/// Where callers put work in.
#[derive(Debug)]
pub(crate) struct Entrance {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    room: Arc<Semaphore>,
}

/// Where writers take work out.
#[derive(Debug)]
pub(crate) struct Exit {
    jobs: mpsc::Receiver<Job>,
    /// Did not fit into the last group.
    held: Option<Job>,
}

/// An empty queue.
pub(crate) fn queue() -> (Entrance, Exit) {
    let (sender, jobs) = mpsc::channel(COMMITS_MAX);
    let room = Arc::new(Semaphore::new(KIB_MAX as usize));
    (Entrance { jobs: Mutex::new(Some(sender)), room }, Exit { jobs, held: None })
}

impl Entrance {
    /// Has work done, and waits for the answer. Who stops waiting after it was put in has it done nevertheless.
    pub(crate) async fn submit(&self, work: Work) -> Result<(), CommitError> {
        let closed = || CommitError::Storage("the archive is closed".to_owned());
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let kib = u32::try_from(work.bytes / 1024 + 1).unwrap_or(u32::MAX).min(KIB_MAX);
        let room = self.room.clone().acquire_many_owned(kib).await.expect("the semaphore is never closed");
        let (answer, answered) = oneshot::channel();
        jobs.send(Job { work, answer, _room: room }).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(CommitError::Unknown("the writer was lost".to_owned())))
    }

    /// Takes no more work. The writers end when what waits is done.
    pub(crate) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Work that is stored together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) jobs: Vec<Job>,
    bytes: usize,
    touched: HashSet<u64>,
}

impl Exit {
    /// Waits for work and takes with it what waits already. `None` when the queue is closed and empty.
    pub(crate) async fn next_group(&mut self) -> Option<Group> {
        let first = match self.held.take() {
            Some(held) => held,
            None => self.jobs.recv().await?,
        };
        // Those that were just answered get their turn: what they commit next belongs into this group.
        tokio::task::yield_now().await;
        let mut group = Group { jobs: Vec::new(), bytes: 0, touched: HashSet::new() };
        group.push(first);
        self.join(&mut group);
        Some(group)
    }

    /// Adds to a group what waits by now, up to the first that does not fit.
    pub(crate) fn join(&mut self, group: &mut Group) {
        while self.held.is_none() && group.jobs.len() < GROUP_COMMITS_MAX && group.bytes < GROUP_BYTES_MAX {
            let Ok(job) = self.jobs.try_recv() else { return };
            if job.work.touches.iter().any(|key| group.touched.contains(key)) {
                self.held = Some(job);
            } else {
                group.push(job);
            }
        }
    }
}

impl Group {
    fn push(&mut self, job: Job) {
        self.bytes = self.bytes.saturating_add(job.work.bytes);
        self.touched.extend(&job.work.touches);
        self.jobs.push(job);
    }

    /// A group that no other work may join.
    pub(crate) fn alone(job: Job) -> Self {
        Self { jobs: vec![job], bytes: GROUP_BYTES_MAX, touched: HashSet::new() }
    }

    /// Lets no more work join.
    pub(crate) fn close(&mut self) {
        self.bytes = GROUP_BYTES_MAX;
    }
}

impl Job {
    /// Answers the caller. Who no longer waits for the answer does not miss it: it can be read from the archive.
    pub(crate) fn answer(self, outcome: Result<(), CommitError>) {
        let _ = self.answer.send(outcome);
    }
}

/// Gives all the same error.
pub(crate) fn answer_all(jobs: Vec<Job>, error: &CommitError) {
    for job in jobs {
        job.answer(Err(error.clone()));
    }
}
