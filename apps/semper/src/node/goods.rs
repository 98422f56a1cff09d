//! Goods on disk: the articles that this party sells, and the ciphertext of those that it buys.
//!
//! ```text
//! goods/<cipher root>/cipher         the ciphertext, whole or as far as it has come
//! goods/<cipher root>/index          the leaves of both trees
//! ```
//! Nothing in it is secret: whoever asks gets it, by [`GoodsStore::routes`]. What a file holds is decided by its name: every byte is
//! checked against the roots before it counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rustix::fs::OFlags;
use semper_channel::ServiceClient;
use semper_core::hash::Digest;
use semper_core::ids::DealId;
use semper_exchange::goods::{
    Article, ArticleKey, CHUNK_LEN, ChunkIndex, Descriptor, Download, Encoder, Index, KeyEvidence, Pom, Side,
    cipher_leaf, first_bad_chunk,
};

/// Chunks that travel together: 1 MiB.
const BLOCK_CHUNKS: u64 = 64;
/// Bytes of the index that travel together: 1 MiB.
const INDEX_PART: usize = 1 << 20;
const CIPHER: &str = "cipher";
const INDEX: &str = "index";
/// Most names that are tried for a file, until one is free.
const NAMES_MAX: u32 = 1000;

/// The goods in one directory.
#[derive(Debug)]
pub struct GoodsStore {
    dir: PathBuf,
}

/// Why goods could not be stored or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoodsError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file to be sold is empty or too large.
    #[error("{0}")]
    Size(#[from] semper_exchange::goods::TooLarge),
    /// The seller's server does not answer, or not now.
    #[error("the goods cannot be fetched: {0}")]
    Fetch(#[from] semper_support::channel::PostError),
    /// The seller's server answers something else than the goods.
    #[error("the seller's server does not give the goods: {0}")]
    Wrong(String),
    /// The work was stopped.
    #[error("the work was stopped")]
    Stopped,
}

/// What came of opening goods.
#[derive(Debug)]
pub enum Opened {
    /// The plaintext is in this file.
    Good(PathBuf),
    /// It is not what was promised.
    Bad(Box<Pom>),
    /// The ciphertext here is not complete, or not the one of the contract.
    NotHere,
}

impl GoodsStore {
    /// The goods in `dir`, which need not exist.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Encodes a file as an article, in constant memory. Calls `progress` with the bytes that are done.
    ///
    /// # Errors
    /// `File`, `Size`; nothing stays.
    pub fn add(&self, source: &Path, key: ArticleKey, mut progress: impl FnMut(u64)) -> Result<Article, GoodsError> {
        self.make(&self.dir)?;
        let mut plain = at(source, File::open(source))?;
        let mut temporary = at(&self.dir, tempfile::NamedTempFile::new_in(&self.dir))?;
        let mut encoder = Encoder::new(key);
        let (mut piece, mut ciphertext, mut done) = (vec![0; 16 * CHUNK_LEN], Vec::new(), 0_u64);
        loop {
            let read = at(source, plain.read(&mut piece))?;
            if read == 0 {
                break;
            }
            encoder.push(&piece[..read], &mut ciphertext)?;
            append(&mut temporary, &ciphertext)?;
            ciphertext.clear();
            done += read as u64;
            progress(done);
        }
        let article = encoder.finish(&mut ciphertext)?;
        append(&mut temporary, &ciphertext)?;
        at(temporary.path(), temporary.as_file().sync_all())?;
        let folder = self.folder(&article.cipher_root);
        self.make(&folder)?;
        self.put_index(&article.cipher_root, &article.index)?;
        let target = folder.join(CIPHER);
        temporary.persist(&target).map_err(|error| GoodsError::File { path: target, error: error.error })?;
        Ok(article)
    }

    /// Fetches the goods that an offer describes from `base`, as far as they are not here yet. Calls `progress` with the bytes that are here.
    ///
    /// # Errors
    /// `Fetch`: what has come stays, and the next call goes on. `Wrong`, `File`.
    pub async fn fetch(
        &self,
        client: &ServiceClient,
        base: &str,
        goods: &Descriptor,
        cipher_root: Digest,
        mut progress: impl FnMut(u64),
    ) -> Result<(), GoodsError> {
        let index = self.fetch_index(client, base, goods, cipher_root).await?;
        let folder = self.folder(&cipher_root);
        let path = folder.join(CIPHER);
        let mut file = at(&path, OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path))?;
        let block_len = BLOCK_CHUNKS * CHUNK_LEN as u64;
        let mut have = right_blocks(&path, &mut file, &index, goods)?;
        at(&path, file.set_len(have * block_len))?;
        while have * block_len < goods.size().bytes() {
            progress(have * block_len);
            let url = format!("{base}/goods/{cipher_root}/blocks/{have}");
            let block = get_bytes(client, &url).await?;
            if !is_block(&index, goods, have, &block) {
                return Err(GoodsError::Wrong(format!("block {have} is not the one that was offered")));
            }
            at(&path, file.seek(SeekFrom::Start(have * block_len)))?;
            at(&path, file.write_all(&block))?;
            have += 1;
        }
        at(&path, file.sync_all())?;
        progress(goods.size().bytes());
        Ok(())
    }

    async fn fetch_index(
        &self,
        client: &ServiceClient,
        base: &str,
        goods: &Descriptor,
        cipher_root: Digest,
    ) -> Result<Index, GoodsError> {
        let fits = |index: &Index| {
            index.chunks() == goods.size().chunks()
                && index.root(Side::Cipher) == cipher_root
                && index.root(Side::Plain) == goods.plain_root()
        };
        if let Some(index) = self.index(&cipher_root)?.filter(fits) {
            return Ok(index);
        }
        let parts = Index::bytes_of(goods.size()).div_ceil(INDEX_PART);
        let mut bytes = Vec::new();
        for part in 0..parts {
            let url = format!("{base}/goods/{cipher_root}/index/{part}");
            bytes.extend(get_bytes(client, &url).await?);
        }
        let index = Index::from_bytes(&bytes).map_err(|error| GoodsError::Wrong(error.to_string()))?;
        if !fits(&index) {
            return Err(GoodsError::Wrong("the index is not that of the goods on offer".to_owned()));
        }
        self.make(&self.folder(&cipher_root))?;
        self.put_index(&cipher_root, &index)?;
        Ok(index)
    }

    /// The index of an article, if it is here.
    ///
    /// # Errors
    /// `File`.
    pub fn index(&self, cipher_root: &Digest) -> Result<Option<Index>, GoodsError> {
        let path = self.folder(cipher_root).join(INDEX);
        match fs::read(&path) {
            Ok(bytes) => Ok(Index::from_bytes(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(GoodsError::File { path, error }),
        }
    }

    /// Opens what was downloaded into the file `out`, or into one of a similar name if something else is there. The file is there only if all is
    /// good.
    ///
    /// # Errors
    /// `File`.
    pub fn open(
        &self,
        download: &Download,
        key: &ArticleKey,
        evidence: &KeyEvidence,
        out: &Path,
    ) -> Result<Opened, GoodsError> {
        let good = download.good();
        let path = self.folder(&good.deposit().cipher_root).join(CIPHER);
        let mut cipher = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opened::NotHere),
            Err(error) => return Err(GoodsError::File { path, error }),
        };
        let folder = out.parent().unwrap_or(Path::new("."));
        self.make(folder)?;
        // Not in `folder`, where whatever is found is taken for whole.
        let mut plain = at(out, tempfile::NamedTempFile::new_in(&self.dir))?;
        let size = good.descriptor().size();
        let mut chunk = vec![0; CHUNK_LEN];
        for index in (0..size.chunks()).map(ChunkIndex) {
            let len = size.chunk_len(index).unwrap_or(0);
            let read = cipher.read_exact(&mut chunk[..len]);
            if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
                return Ok(Opened::NotHere);
            }
            at(&path, read)?;
            let mut opened = chunk[..len].to_vec();
            match download.open(key, index, &mut opened) {
                Ok(()) => append(&mut plain, &opened)?,
                Err(semper_exchange::goods::ChunkError::NotTheChunk(_)) => return Ok(Opened::NotHere),
                Err(semper_exchange::goods::ChunkError::BadChunk(_)) => {
                    return self.prove(&path, download, key, evidence);
                }
            }
        }
        at(plain.path(), plain.as_file().sync_all())?;
        Ok(Opened::Good(keep(plain, out)?))
    }

    /// The proof about the first chunk that is bad.
    fn prove(
        &self,
        path: &Path,
        download: &Download,
        key: &ArticleKey,
        evidence: &KeyEvidence,
    ) -> Result<Opened, GoodsError> {
        let mut cipher = at(path, File::open(path))?;
        let size = download.good().descriptor().size();
        let chunks = (0..size.chunks()).map_while(|index| {
            let mut chunk = vec![0; size.chunk_len(ChunkIndex(index))?];
            cipher.read_exact(&mut chunk).ok()?;
            Some(chunk)
        });
        let pom = first_bad_chunk(download, key, evidence, chunks);
        Ok(pom.map_or(Opened::NotHere, |pom| Opened::Bad(Box::new(pom))))
    }

    /// The routes by which anybody gets the ciphertext of what is sold.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/goods/{root}/index/{part}", get(index_part))
            .route("/goods/{root}/blocks/{block}", get(block))
            .with_state(self.clone())
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn folder(&self, cipher_root: &Digest) -> PathBuf {
        self.dir.join(cipher_root.to_hex())
    }

    fn put_index(&self, cipher_root: &Digest, index: &Index) -> Result<(), GoodsError> {
        let target = self.folder(cipher_root).join(INDEX);
        let mut temporary = at(&self.dir, tempfile::NamedTempFile::new_in(&self.dir))?;
        append(&mut temporary, &index.to_bytes())?;
        at(temporary.path(), temporary.as_file().sync_all())?;
        temporary.persist(&target).map_err(|error| GoodsError::File { path: target, error: error.error })?;
        Ok(())
    }

    fn make(&self, folder: &Path) -> Result<(), GoodsError> {
        at(folder, fs::create_dir_all(folder))
    }

    /// Bytes of a file of an article, from `from` on, at most `most`; `None` if there are none.
    fn part(&self, root: &str, name: &str, from: u64, most: u64) -> io::Result<Option<Vec<u8>>> {
        // The name of a folder comes from outside: only what is a digest can be one.
        let Some(root) = Digest::from_hex(root) else { return Ok(None) };
        let mut file = match File::open(self.folder(&root).join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok((!bytes.is_empty() || from == 0).then_some(bytes))
    }
}

/// How many whole blocks at the beginning of a file are right.
fn right_blocks(path: &Path, file: &mut File, index: &Index, goods: &Descriptor) -> Result<u64, GoodsError> {
    at(path, file.seek(SeekFrom::Start(0)))?;
    let blocks = goods.size().chunks().div_ceil(BLOCK_CHUNKS);
    let most = BLOCK_CHUNKS * CHUNK_LEN as u64;
    for number in 0..blocks {
        let mut block = Vec::new();
        at(path, Read::by_ref(file).take(most).read_to_end(&mut block))?;
        if !is_block(index, goods, number, &block) {
            return Ok(number);
        }
    }
    Ok(blocks)
}

/// Whether bytes are just the chunks of a block.
fn is_block(index: &Index, goods: &Descriptor, number: u64, mut block: &[u8]) -> bool {
    let size = goods.size();
    let chunks = (number * BLOCK_CHUNKS..((number + 1) * BLOCK_CHUNKS).min(size.chunks())).map(ChunkIndex);
    for chunk in chunks {
        let Some(len) = size.chunk_len(chunk).filter(|len| *len <= block.len()) else { return false };
        let (bytes, rest) = block.split_at(len);
        if index.leaves(chunk).is_none_or(|leaves| leaves.cipher != cipher_leaf(chunk, bytes)) {
            return false;
        }
        block = rest;
    }
    block.is_empty()
}

async fn get_bytes(client: &ServiceClient, url: &str) -> Result<Vec<u8>, GoodsError> {
    let answer = client.ask(url, None).await?;
    if answer.status == 200 { Ok(answer.body) } else { Err(GoodsError::Wrong(format!("status {}", answer.status))) }
}

/// The directory, in the one of the goods, in which the file is that a deal has bought.
pub fn bought(goods: &Path, deal: DealId) -> PathBuf {
    goods.join("bought").join(deal.to_string())
}

/// A file that was copied to where its owner wants it.
#[derive(Debug)]
pub struct Copied {
    /// The copy.
    pub to: PathBuf,
    from: PathBuf,
}

impl Copied {
    /// Removes what was copied, once it is stored where the copy is.
    ///
    /// # Errors
    /// `File`: the file is still where it was.
    pub fn done(self) -> Result<(), GoodsError> {
        at(&self.from, fs::remove_file(&self.from))
    }
}

/// Copies the file that a deal has bought to `wanted`, or to a similar name if something else is there; nothing if it was taken before. Done by
/// the user's side: a node writes nowhere but into its own directories. What stands there instead of a file is not followed. Copied again, as
/// after a power failure, it is in the same place.
///
/// # Errors
/// `File`: the file is still where it was.
pub fn copy(goods: &Path, deal: DealId, wanted: &Path) -> Result<Option<Copied>, GoodsError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let dir = bought(goods, deal);
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => at(&dir, read)?,
    };
    for entry in entries {
        let entry = at(&dir, entry)?;
        if !at(&entry.path(), entry.file_type())?.is_file() {
            continue;
        }
        let from = entry.path();
        let mut options = OpenOptions::new();
        let mut source = at(&from, options.read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&from))?;
        let folder = wanted.parent().unwrap_or(Path::new("."));
        at(folder, fs::create_dir_all(folder))?;
        let mut copy = at(wanted, tempfile::NamedTempFile::new_in(folder))?;
        at(&from, io::copy(&mut source, copy.as_file_mut()))?;
        at(copy.path(), copy.as_file().sync_all())?;
        return Ok(Some(Copied { to: keep(copy, wanted)?, from }));
    }
    Ok(None)
}

fn append(file: &mut tempfile::NamedTempFile, bytes: &[u8]) -> Result<(), GoodsError> {
    let written = file.as_file_mut().write_all(bytes);
    at(file.path(), written)
}

/// Gives a finished file its name; nothing of the user's is overwritten. A file with the same bytes is the one that was kept before a power failure.
fn keep(mut file: tempfile::NamedTempFile, out: &Path) -> Result<PathBuf, GoodsError> {
    let mut path = out.to_owned();
    for number in 2..=NAMES_MAX {
        match file.persist_noclobber(&path) {
            Ok(_) => return Ok(path),
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => file = failed.file,
            Err(failed) => return Err(GoodsError::File { path, error: failed.error }),
        }
        // What cannot be read is not what was kept.
        if same_bytes(file.path(), &path).unwrap_or(false) {
            return Ok(path);
        }
        path = numbered(out, number);
    }
    Err(GoodsError::File { path: out.to_owned(), error: io::ErrorKind::AlreadyExists.into() })
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    if !other.metadata()?.is_file() || one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (io::BufReader::new(one), io::BufReader::new(other));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let len = left.len().min(right.len());
        if len == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left[..len] != right[..len] {
            return Ok(false);
        }
        one.consume(len);
        other.consume(len);
    }
}

/// `song.ogg` as `song-2.ogg`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, GoodsError> {
    result.map_err(|error| GoodsError::File { path: path.to_owned(), error })
}

async fn index_part(State(store): State<Arc<GoodsStore>>, UrlPath((root, part)): UrlPath<(String, u64)>) -> Response {
    answer(store, root, INDEX, part, INDEX_PART as u64).await
}

async fn block(State(store): State<Arc<GoodsStore>>, UrlPath((root, block)): UrlPath<(String, u64)>) -> Response {
    answer(store, root, CIPHER, block, BLOCK_CHUNKS * CHUNK_LEN as u64).await
}

async fn answer(store: Arc<GoodsStore>, root: String, name: &'static str, part: u64, most: u64) -> Response {
    let Some(from) = part.checked_mul(most) else { return StatusCode::NOT_FOUND.into_response() };
    let read = tokio::task::spawn_blocking(move || store.part(&root, name, from, most)).await;
    match read {
        Ok(Ok(Some(bytes))) => {
            // What stands under a hash never changes.
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, bytes).into_response()
        }
        Ok(Ok(None)) => StatusCode::NOT_FOUND.into_response(),
        Ok(Err(error)) => {
            tracing::error!(%error, "goods cannot be read");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Err(error) => {
            tracing::error!(%error, "reading goods failed");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn finished(dir: &Path, bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new_in(dir).unwrap();
        append(&mut file, bytes).unwrap();
        file
    }

    // The power may fail between the copy, the word to the node and the removal: done again, it ends with one file, where the node says it is.
    #[test]
    fn what_was_bought_is_taken_to_one_place_whenever_the_power_fails() {
        let dir = tempfile::tempdir().unwrap();
        let (goods, deal, wanted) = (dir.path().join("goods"), DealId::from_array([1; 16]), dir.path().join("a.csv"));
        assert!(copy(&goods, deal, &wanted).unwrap().is_none(), "nothing was bought");
        fs::create_dir_all(bought(&goods, deal)).unwrap();
        fs::write(bought(&goods, deal).join("theirs.csv"), "1,2").unwrap();
        fs::write(&wanted, "mine").unwrap();
        let first = copy(&goods, deal, &wanted).unwrap().unwrap();
        let again = copy(&goods, deal, &wanted).unwrap().unwrap();
        assert_eq!(first.to, again.to);
        assert_eq!((fs::read(&again.to).unwrap(), fs::read(&wanted).unwrap()), (b"1,2".to_vec(), b"mine".to_vec()));
        again.done().unwrap();
        assert!(copy(&goods, deal, &wanted).unwrap().is_none(), "it was taken");
    }

    // Two purchases with one name, or a file that the user has put there meanwhile: what was paid for must not replace it. And a power failure
    // after the file got its name must not make a second one.
    #[test]
    fn nothing_of_the_users_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("song.ogg");
        fs::write(&out, b"mine").unwrap();
        for bytes in [b"paid".as_slice(), b"paid", b"dear"] {
            let path = keep(finished(dir.path(), bytes), &out).unwrap();
            assert_eq!(fs::read(path).unwrap(), bytes);
        }
        assert_eq!(fs::read(&out).unwrap(), b"mine");
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["song-2.ogg", "song-3.ogg", "song.ogg"]);
        assert_eq!(keep(finished(dir.path(), b"mine"), &out).unwrap(), out);
    }
}
