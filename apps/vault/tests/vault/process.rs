//! The vault as a process: killed with SIGKILL at any moment, and confined.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use semper_support::approval::Answer;
use semper_vault::client::{NodeSide, UserSide};
use semper_vault::decisions::What;
use semper_vault::rules::UserAnswer;

use crate::world::{PASSPHRASE, World, letter};

const PROGRAM: &str = env!("CARGO_BIN_EXE_semper-vault");
const ROUNDS: u64 = 14;

/// A vault's process, killed when it is dropped.
pub struct Process(pub Child);

impl Process {
    pub fn start(dir: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        let process =
            Self(command.arg("--for-one-process").arg("--vault").arg(dir).stdin(Stdio::piped()).spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(20);
        let answers =
            || UserSide::connect(dir).and_then(|user| user.state()).is_ok_and(|state| state.pid == process.0.id());
        while !answers() {
            assert!(Instant::now() < until, "the vault does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        UserSide::connect(dir).unwrap().unlock(PASSPHRASE, None).unwrap();
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// A signature that left the vault and is not in its log could contradict a later one; an answer that is in the log and was not signed would
// be lost. The moment of the crash is what is tested.
#[test]
fn log_and_signatures_agree_whenever_it_is_killed() {
    let world = World::new();
    let (dir, keys) = (world.path(), world.key_set());
    // What was told to anybody: the signature of each letter that had one, and the letters that were said to be approved.
    let signed: Mutex<BTreeMap<u64, Vec<u8>>> = Mutex::default();
    let approved: Mutex<Vec<u64>> = Mutex::default();
    let mut next = 0;
    let mut in_the_middle = 0;
    for round in 0..ROUNDS {
        let process = Process::start(dir);
        let first = next;
        next += 12;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let Ok(node) = NodeSide::connect(dir) else { return };
                for number in first..next {
                    if node.request(letter(keys, number)).is_err() {
                        return;
                    }
                }
                let Ok(user) = UserSide::connect(dir) else { return };
                for number in first..next {
                    let Ok(waiting) = user.waiting() else { return };
                    let request = letter(keys, number);
                    let Some(approval) = waiting.iter().find(|approval| approval.draft == request.draft) else {
                        return;
                    };
                    if user.answer(request.id(), UserAnswer::Approve { seen: approval.text_hash() }).is_err() {
                        return;
                    }
                    approved.lock().unwrap().push(number);
                    match node.request(request) {
                        Ok(Answer::Signed(bytes)) => signed.lock().unwrap().insert(number, bytes.bytes().to_vec()),
                        _ => return,
                    };
                }
            });
            // Somewhere behind as many answers, at another moment in each round.
            let until = Instant::now() + Duration::from_secs(5);
            let enough =
                || approved.lock().unwrap().iter().filter(|number| **number >= first).count() as u64 >= round % 12;
            while !enough() && Instant::now() < until {
                std::thread::sleep(Duration::from_micros(50));
            }
            std::thread::sleep(Duration::from_micros(round * 211 % 1700));
            drop(process);
        });
        let done = approved.lock().unwrap().iter().filter(|number| **number >= first).count();
        in_the_middle += usize::from((1..12).contains(&done));
        let again = Process::start(dir);
        let (node, user) = (NodeSide::connect(dir).unwrap(), UserSide::connect(dir).unwrap());
        let mut history = Vec::new();
        while let Some(page) = Some(user.history(history.len() as u64, 64).unwrap()).filter(|page| !page.is_empty()) {
            history.extend(page);
        }
        for number in 0..next {
            let id = letter(keys, number).id();
            let entries =
                || history.iter().filter(|entry| entry.decision.event.statement.is_some_and(|(other, _)| other == id));
            let in_log = entries().filter(|entry| entry.decision.event.what == What::Approved).count();
            assert!(in_log <= 1, "letter {number} was signed twice");
            if approved.lock().unwrap().contains(&number) {
                assert_eq!(in_log, 1, "round {round}: the answer about letter {number} is lost");
            }
            match (node.request(letter(keys, number)).unwrap(), in_log) {
                (Answer::Signed(bytes), 1) => {
                    let told = signed.lock().unwrap().get(&number).cloned();
                    assert!(told.is_none_or(|told| told == bytes.bytes()), "letter {number} has two signatures");
                }
                (Answer::Waiting, 0) => user.answer(id, UserAnswer::Decline).unwrap(),
                (Answer::Declined, 0) => {}
                (answer, in_log) => panic!("round {round}, letter {number}: {answer:?}, {in_log} in the log"),
            }
        }
        drop(again);
    }
    assert!(in_the_middle >= 5, "it was hardly ever killed in the middle of its answers: {in_the_middle}");
}

// The node is killed, or ends: its vault must not stay behind with open keys.
#[test]
fn it_ends_with_the_process_that_has_started_it() {
    let world = World::new();
    let mut process = Process::start(world.path());
    drop(process.0.stdin.take());
    let until = Instant::now() + Duration::from_secs(10);
    while process.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a process can still do. Each line is a thing and whether it was done.
fn can(path: &Path, inside: &Path) -> String {
    let done = |what: &str, done: bool| format!("{what}: {done}\n");
    let connect = std::net::TcpStream::connect_timeout(&"127.0.0.1:9".parse().unwrap(), Duration::from_secs(1));
    [
        done("read elsewhere", std::fs::read(path).is_ok()),
        done("write elsewhere", std::fs::write(path, "x").is_ok()),
        done("write inside", std::fs::write(inside, "x").is_ok()),
        done("listen", std::net::TcpListener::bind("127.0.0.1:0").is_ok()),
        // Nobody listens there: a process that may call is refused by the other side.
        done("call", !connect.is_err_and(|error| error.kind() != std::io::ErrorKind::ConnectionRefused)),
        done("run", Command::new("true").status().is_ok()),
        done("thread", std::thread::Builder::new().spawn(|| ()).is_ok_and(|thread| thread.join().is_ok())),
    ]
    .concat()
}

/// Runs itself once more, confined: `how` says as what.
fn confined(how: &str, world: &World) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "process::a_confined_process", "--nocapture"]).env("CONFINED", how);
    let output = command.env("CONFINED_DIR", world.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

// Does nothing by itself: it is what the tests below start as a process of its own.
#[test]
#[cfg(target_os = "linux")]
fn a_confined_process() {
    use semper_vault::confine::{NodePaths, node, vault, window};
    let Ok(how) = std::env::var("CONFINED") else { return };
    let dir = std::path::PathBuf::from(std::env::var("CONFINED_DIR").unwrap());
    let archive = dir.join("archive");
    std::fs::create_dir_all(&archive).unwrap();
    let confinement = match how.as_str() {
        "vault" => vault(&archive, None).unwrap(),
        "window" => window(&dir, &archive).unwrap(),
        "node" => node(&NodePaths { read: vec![dir.join("node")], write: vec![archive.clone()] }).unwrap(),
        _ => Default::default(),
    };
    println!("whole: {}", confinement.is_whole());
    print!("{}", can(&dir.join("user/token"), &archive.join("x")));
}

// The checks must be able to fail: a process that has given up nothing does all of it.
#[test]
#[cfg(target_os = "linux")]
fn a_process_that_has_given_up_nothing_does_everything() {
    let said = confined("not", &World::open());
    assert!(said.contains("whole: false") && said.matches(": true").count() == 7, "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_vault_opens_no_file_elsewhere_no_network_and_runs_nothing() {
    let said = confined("vault", &World::open());
    assert!(said.contains("whole: true"), "this kernel cannot confine it, so this is not tested here: {said}");
    for good in ["write inside: true", "thread: true"] {
        assert!(said.contains(good), "{said}");
    }
    for bad in ["read elsewhere: false", "write elsewhere: false", "listen: false", "call: false", "run: false"] {
        assert!(said.contains(bad), "{said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_node_opens_no_file_of_the_vault() {
    let world = World::open();
    let said = confined("node", &world);
    assert!(said.contains("whole: true"), "this kernel cannot confine it, so this is not tested here: {said}");
    for good in ["write inside: true", "listen: true", "call: true", "thread: true"] {
        assert!(said.contains(good), "{said}");
    }
    for bad in ["read elsewhere: false", "write elsewhere: false", "run: false"] {
        assert!(said.contains(bad), "{said}");
    }
    assert_eq!(std::fs::read(world.path().join("user/token")).unwrap().len(), 32, "the token was not changed");
}

// The window reads the token, which it acts by; it has its port from before.
#[test]
#[cfg(target_os = "linux")]
fn a_window_calls_nobody_and_runs_nothing() {
    let said = confined("window", &World::open());
    assert!(said.contains("whole: true"), "this kernel cannot confine it, so this is not tested here: {said}");
    for good in ["read elsewhere: true", "write inside: true", "thread: true"] {
        assert!(said.contains(good), "{said}");
    }
    for bad in ["write elsewhere: false", "listen: false", "call: false", "run: false"] {
        assert!(said.contains(bad), "{said}");
    }
}

// What is tested above is what the program does.
#[test]
#[cfg(target_os = "linux")]
fn the_program_is_confined() {
    let world = World::new();
    let process = Process::start(world.path());
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{status}");
    }
}
