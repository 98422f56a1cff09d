//! The tutorial is run as it is written. What could go wrong: it teaches what works no more.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{Process, World, until};

const TUTORIAL: &str = include_str!("../../../../docs/tutorial.md");

/// The machines of the tutorial: a home directory each, and what keeps running there.
struct Machines {
    world: World,
    running: Vec<Process>,
    /// What the text has in the place of what commands print, and what they have printed.
    learnt: HashMap<&'static str, String>,
}

#[test]
fn every_command_works_as_written() {
    let mut machines = Machines { world: World::new(), running: Vec::new(), learnt: HashMap::new() };
    let mut machine = None;
    let mut commands = 0;
    for line in TUTORIAL.lines() {
        match (line.strip_prefix("```"), &machine) {
            (Some(info), None) => machine = Some(info.strip_prefix("sh ").unwrap_or_default().to_owned()),
            (Some(_), Some(_)) => machine = None,
            (None, Some(name)) if !name.is_empty() => {
                machines.run(&name.clone(), line);
                commands += 1;
            }
            (None, _) => {}
        }
    }
    assert!(commands > 20, "only {commands} commands were found");
    let [sold, bought] = [("bob", "measurements.csv"), ("alice", "measurements.csv")]
        .map(|(name, file)| std::fs::read(machines.home(name).join(file)).unwrap());
    assert_eq!(sold, bought);
}

impl Machines {
    fn home(&self, machine: &str) -> PathBuf {
        let home = self.world.path(machine);
        std::fs::create_dir_all(&home).unwrap();
        home
    }

    /// A line as it is run here: with the addresses of this world, and what has been learnt.
    fn here(&self, line: &str) -> String {
        let mut here = line.replace("0.0.0.0", self.world.ip());
        for name in ["carol", "bob", "alice"] {
            here = here.replace(&format!("http://{name}.example"), &format!("http://{}", self.world.ip()));
        }
        let words = here.split(' ').map(|word| match word {
            "3f2a" => self.learnt["deal"].clone(),
            word if word.contains("/offers/") => self.learnt["link"].clone(),
            word => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn run(&mut self, machine: &str, line: &str) {
        if let Some(copied) = line.strip_prefix("scp ") {
            let (from, to) = copied.split_once(' ').unwrap();
            let (other, name) = to.split_once(".example:").unwrap();
            std::fs::copy(self.home(machine).join(from), self.home(other).join(name)).unwrap();
            return;
        }
        let home = self.home(machine);
        let line = self.here(line);
        if ["semper up", "semper serve"].iter().any(|start| line.starts_with(start)) {
            let data = line.split_once("--dir ").map_or(home.join(".local/share/semper"), |(_, dir)| home.join(dir));
            let process = Process::of(shell(&self.world, &home, &format!("exec {line}")).spawn().unwrap());
            let announced = data.join("run/control.json");
            assert!(until(|| announced.exists().then_some(())).is_some(), "{line}: it does not start");
            self.running.push(process);
            return;
        }
        // Whoever is asked says yes.
        let question = self.world.file("yes", "sign\n12.00 EUR\n");
        let output = shell(&self.world, &home, &line).stdin(std::fs::File::open(question).unwrap()).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{machine}$ {line}\n{text}");
        assert!(output.status.success(), "{machine}$ {line}\n{text}");
        if let Some(link) = text.lines().find(|line| line.contains("/offers/")) {
            self.learnt.insert("link", link.trim().to_owned());
        }
        if let Some(deal) = text.lines().find_map(|line| line.strip_prefix("Deal ")) {
            self.learnt.insert("deal", deal.trim().to_owned());
        }
    }
}

/// A shell of a user at home.
fn shell(world: &World, home: &Path, line: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_semper")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-ec", line]).current_dir(home).env("HOME", home).env("PATH", path);
    command.env("SEMPER_PASSPHRASE_FILE", world.path("passphrase"));
    command.env_remove("SEMPER_DIR").env_remove("XDG_DATA_HOME").env_remove("SEMPER_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
