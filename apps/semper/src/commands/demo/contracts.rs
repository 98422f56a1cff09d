//! The part of the demonstration that is about contracts and mail: nothing changes hands but signatures.

use std::path::Path;

use anyhow::{Result, ensure};

use super::stage::{Stage, moment, shown, text};
use super::{Exhibit, Proves, say, title};

impl Stage {
    /// Gives the folders of all contracts and of the mail.
    pub(super) fn contracts(&self) -> Result<Vec<Exhibit>> {
        title("7. Contracts: Alice and Bob sign a sale of a bicycle, four times");
        let file = self.dir.join("bicycle.txt");
        std::fs::write(&file, "Alice sells Bob one bicycle, blue, used, for 120.00 EUR.\n")?;
        Ok(vec![
            self.contract(&file)?,
            self.silent_signer(&file)?,
            self.change_of_mind(&file)?,
            self.killed_signer(&file)?,
            self.mail(&file)?,
        ])
    }

    /// Lets Alice propose a contract over a file; gives the deal.
    fn propose(&self, file: &Path, patience: &str) -> Result<String> {
        self.begin("alice", &["sign", &shown(file), "--with", "Bob", "--law", "Swiss law", "--patience", patience])
    }

    fn contract(&self, file: &Path) -> Result<Exhibit> {
        let deal = self.propose(file, "60")?;
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        say("both honest: four messages, both hold the complete contract; the arbiter heard nothing");
        Ok((self.export("alice", &deal, "8-contract")?, Proves::Binding))
    }

    fn silent_signer(&self, file: &Path) -> Result<Exhibit> {
        self.up_asking("bob")?;
        let deal = self.propose(file, "8")?;
        self.until("bob", &deal, "a question to Bob", |view| view["state"] == "await-promise-signature")?;
        self.kill("bob");
        // He answers by hand while his node is off: the promise goes out, nothing comes in any more.
        let answer = self.type_in("bob", &["approve"], "sign\n")?;
        ensure!(answer.contains("Check words"), "Bob was not shown the contract:\n{answer}");
        self.ended("alice", &deal, "success")?;
        let folder = self.export("alice", &deal, "9-contract-silent")?;
        self.up("bob")?;
        self.ended("bob", &deal, "success")?;
        say(
            "Bob goes off-line after his promise: the arbiter completes the contract, and Bob holds the same one later",
        );
        Ok((folder, Proves::Resolved))
    }

    fn change_of_mind(&self, file: &Path) -> Result<Exhibit> {
        self.kill("bob");
        let deal = self.propose(file, "600")?;
        self.until("alice", &deal, "waiting for Bob", |view| view["state"] == "await-peer-promise")?;
        let output = self.run("alice", &["deals", "give-up", &deal])?;
        ensure!(output.status.code() == Some(2), "the deal was not aborted:\n{}", text(&output));
        self.ended("alice", &deal, "aborted")?;
        say("Alice changes her mind in time: the arbiter aborts, nobody is bound, and Bob can never complete it");
        self.up("bob")?;
        Ok((self.export("alice", &deal, "10-contract-aborted")?, Proves::Aborted))
    }

    fn killed_signer(&self, file: &Path) -> Result<Exhibit> {
        let deal = self.propose(file, "60")?;
        let moment = moment()?;
        std::thread::sleep(moment);
        self.kill("bob");
        self.up("bob")?;
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        say(&format!(
            "Bob's process is killed {} ms after the proposal, comes back, and both hold the contract",
            moment.as_millis()
        ));
        Ok((self.export("bob", &deal, "11-contract-killed")?, Proves::Binding))
    }

    fn mail(&self, file: &Path) -> Result<Exhibit> {
        let message = ["send", &shown(file), "--to", "Bob", "-m", "see you on Monday", "--signed", "--ack"];
        let deal = self.begin("alice", &message)?;
        self.ended("alice", &deal, "success")?;
        say("signed mail with a signed acknowledgement: Alice can prove that Bob has it, Bob that it is from Alice");
        Ok((self.export("alice", &deal, "12-mail")?, Proves::Mail))
    }
}
