//! Real PostgreSQL servers for tests: each in a directory of its own on a free port of 127.0.0.1, gone when the test process is gone.
#![allow(dead_code, reason = "the bench uses a part")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);

/// A running server. It is killed, and its files are removed, when this is dropped or the process ends in whatever way.
pub(crate) struct Server {
    /// Waits for the end of its input, then kills the server.
    keeper: Option<Child>,
    root: PathBuf,
    pub(crate) port: u16,
}

impl Server {
    /// A new server with nothing in it.
    pub(crate) fn start() -> Self {
        let root = new_root();
        let data = root.join("data");
        run(as_postgres(binary("initdb")).args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"]).arg(data));
        Self::start_in(root)
    }

    /// A standby of this server, which has everything that this server has answered since.
    pub(crate) fn synchronous_standby(&self) -> Self {
        let root = new_root();
        let mut copy = as_postgres(binary("pg_basebackup"));
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-X", "stream", "-R", "-c", "fast", "-p"]);
        run(copy.arg(self.port.to_string()).arg("-D").arg(root.join("data")));
        let standby = Self::start_in(root);
        self.psql("ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.psql("SELECT pg_reload_conf()");
        wait_until("the standby is synchronous", || self.psql("SELECT sync_state FROM pg_stat_replication") == "sync");
        standby
    }

    /// Makes a standby the server that is written to.
    pub(crate) fn promote(&self) {
        run(as_postgres(binary("pg_ctl")).args(["promote", "-w", "-D"]).arg(self.root.join("data")));
    }

    /// Kills the server and all its children at once, like a power cut that leaves the disk's cache alone.
    pub(crate) fn kill(&mut self) {
        fs::write(self.root.join(KEEP), "").unwrap();
        let pid_file = fs::read_to_string(self.root.join("data/postmaster.pid")).unwrap();
        let postmaster: u32 = pid_file.lines().next().unwrap().trim().parse().unwrap();
        // Stopped, it makes no child that would be overlooked.
        signal("-STOP", &[postmaster]);
        signal("-KILL", &[vec![postmaster], children(postmaster)].concat());
        self.end_keeper();
    }

    /// Starts a server again that was killed.
    pub(crate) fn restart(&mut self) {
        // It refuses as long as a child of the old one has the memory that they share.
        wait_until("the server starts again", || {
            let _ = fs::remove_file(self.root.join("data/postmaster.pid"));
            self.run()
        });
    }

    /// The address of an archive in a schema.
    pub(crate) fn url(&self, schema: &str) -> String {
        url(self.port, schema)
    }

    /// What psql prints.
    pub(crate) fn psql(&self, sql: &str) -> String {
        let output = self.ask(sql);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn ask(&self, sql: &str) -> std::process::Output {
        let mut psql = Command::new(binary("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-X", "-A", "-t", "-c", sql]);
        psql.output().unwrap()
    }

    fn start_in(root: PathBuf) -> Self {
        // Somebody else may take the port between asking for it and using it.
        for _ in 0..5 {
            let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
            let mut server = Self { keeper: None, root: root.clone(), port };
            if server.run() {
                return server;
            }
            server.root = PathBuf::new();
        }
        panic!("no server could be started: {}", fs::read_to_string(root.join("log")).unwrap_or_default());
    }

    /// Starts the server; whether it answers. If it does not, its files are still there.
    fn run(&mut self) -> bool {
        fs::write(self.root.join(KEEP), "").unwrap();
        self.keeper = Some(keeper(&self.root, self.port));
        let answers = self.wait_until_it_answers();
        if answers {
            fs::remove_file(self.root.join(KEEP)).unwrap();
        } else {
            self.end_keeper();
        }
        answers
    }

    fn wait_until_it_answers(&mut self) -> bool {
        let start = Instant::now();
        while !self.ask("SELECT 1").status.success() {
            if self.keeper.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            assert!(start.elapsed() < START, "{}", fs::read_to_string(self.root.join("log")).unwrap_or_default());
            sleep(Duration::from_millis(50));
        }
        true
    }

    fn end_keeper(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end_keeper();
        // If it was killed before, the keeper has left the files.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The address of an archive behind a port of this machine.
pub(crate) fn url(port: u16, schema: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres?schema={schema}")
}

/// Asks until it is so.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < START, "it never came to be that {what}");
        sleep(Duration::from_millis(20));
    }
}

/// A file that says that the server's files stay when it ends.
const KEEP: &str = "keep";

/// A shell that runs the server until its own input ends, which it does when this process is gone, and then removes the server's files.
fn keeper(root: &Path, port: u16) -> Child {
    let script = r#"exec 3<&0
        "$1" -D "$2/data" -c listen_addresses=127.0.0.1 -c port="$3" -c unix_socket_directories="$2" -c fsync=on \
            -c max_connections=150 -c logging_collector=off >>"$2/log" 2>&1 </dev/null 3<&- &
        server=$!
        { read -r _; kill -QUIT "$server" 2>/dev/null; } <&3 &
        wait "$server"
        [ -e "$2/keep" ] || rm -rf "$2""#;
    let mut keeper = as_postgres("sh");
    keeper.args(["-c", script, "sh"]).arg(binary("postgres")).arg(root).arg(port.to_string());
    keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A new directory that the server's user may use.
fn new_root() -> PathBuf {
    let root = tempfile::Builder::new().prefix("semper-postgres-").tempdir().unwrap().keep();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    if let Some((user, group)) = postgres_user() {
        std::os::unix::fs::chown(&root, Some(user), Some(group)).unwrap();
    }
    root
}

/// A command as the user that may run servers: PostgreSQL refuses root.
fn as_postgres(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((user, group)) = postgres_user() {
        command.uid(user).gid(group);
    }
    command
}

/// The user `postgres` and its group, if this is root.
fn postgres_user() -> Option<(u32, u32)> {
    let id = |args: &[&str]| -> u32 {
        let output = Command::new("id").args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().expect(INSTALL)
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

const INSTALL: &str =
    "these tests need PostgreSQL's programs: install the Debian package postgresql-15 (or any of 13 and later)";

/// A program of the newest PostgreSQL that is installed.
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect(INSTALL);
    let version = |dir: &PathBuf| dir.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let dirs = versions.map(|entry| entry.unwrap().path()).filter(|dir| dir.join("bin/initdb").exists());
    dirs.max_by_key(version).expect(INSTALL).join("bin").join(name)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Sends a signal. A process may have gone by itself.
fn signal(name: &str, pids: &[u32]) {
    let _ = Command::new("kill").arg(name).args(pids.iter().map(u32::to_string)).stderr(Stdio::null()).status();
}

/// The processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name, which is in parentheses and may contain anything: state, parent.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parent == Some(pid)
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(is_child).collect()
}
