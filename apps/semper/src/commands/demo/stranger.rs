//! The end of the demonstration: a stranger reads the folders.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::stage::{Stage, text};
use super::{Exhibit, Proves, say, title};

impl Stage {
    pub(super) fn stranger(&self, folders: &[Exhibit]) -> Result<()> {
        title("10. Dave, a stranger, checks every folder: no keys, no network, all processes stopped");
        for (folder, expected) in folders {
            self.check(folder, *expected)?;
        }
        for (folder, _) in folders.iter().filter(|(_, proves)| *proves == Proves::Fault) {
            self.judge(folder)?;
        }
        let (folder, _) = folders.first().context("no folders")?;
        let mut bytes = std::fs::read(folder)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let altered = self.dir.join("folders/altered.semper");
        std::fs::write(&altered, bytes)?;
        let output = self.verify(&altered, &[])?;
        ensure!(output.status.code() == Some(1), "an altered folder was accepted:\n{}", text(&output));
        say("one byte flipped: REFUSED");
        Ok(())
    }

    /// What a stranger reads about the questions that everybody has.
    fn judge(&self, folder: &Path) -> Result<()> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let output = self.ask("judge", folder, &self.trusted())?;
        let text = text(&output);
        let answers: Vec<_> = text.lines().filter(|line| line.contains("? ")).collect();
        ensure!(
            answers.iter().any(|answer| answer.contains("was it what was promised? No")),
            "{name} is not judged:\n{text}"
        );
        say(&format!("and who is right about {name}? `semper judge` says:"));
        answers.into_iter().for_each(|answer| say(&format!("  {answer}")));
        Ok(())
    }

    fn check(&self, folder: &Path, expected: Proves) -> Result<()> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let args = [self.trusted(), vec!["--json".to_owned()]].concat();
        let report: Value = serde_json::from_slice(&self.verify(folder, &args)?.stdout).context("nothing readable")?;
        ensure!(report["sound"] == true, "{name} is not sound:\n{report:#}");
        let (contract, transfer, payment) = (&report["contracts"][0], &report["transfers"][0], &report["payments"][0]);
        let good = match expected {
            Proves::Binding => contract["binding"] == true,
            Proves::Resolved => contract["standing"] == "resolved",
            Proves::Aborted => contract["standing"] == "aborted",
            Proves::Fault => contract["standing"] == "fault",
            Proves::Mail => transfer["origin"].is_string() && transfer["receipt"]["accepted"] == true,
            Proves::Payment => payment["proven"] == true,
        };
        ensure!(good, "{name} does not prove what it should:\n{report:#}");
        let names = report["key_sets"].as_array().into_iter().flatten();
        let names: Vec<_> = names.filter_map(|key_set| key_set["certified_name"].as_str()).collect();
        ensure!(names.contains(&"Alice") && names.contains(&"Bob"), "{name}: the names are not certified:\n{report:#}");
        let what = match expected {
            Proves::Mail => "origin and receipt proven".to_owned(),
            Proves::Payment => format!("{} paid, proven", payment["amount"].as_str().unwrap_or_default()),
            _ => contract["standing_text"].as_str().unwrap_or_default().to_owned(),
        };
        say(&format!("{name}: {what}"));
        Ok(())
    }

    /// What a stranger does: there is no data directory and no passphrase.
    fn verify(&self, folder: &Path, args: &[String]) -> Result<Output> {
        self.ask("verify", folder, args)
    }

    fn ask(&self, question: &str, folder: &Path, args: &[String]) -> Result<Output> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--dir").arg(self.dir.join("nobody")).arg(question).arg(folder).args(args);
        Ok(command.stdin(Stdio::null()).output()?)
    }
}
