//! The command line: each command a file.

mod approve;
mod arbiter;
mod ask;
mod backup;
mod contact;
mod cover;
mod credential;
mod deals;
mod demo;
mod desk;
mod follow;
mod guarantor;
mod init;
mod judge;
mod mandate;
mod notice;
mod offers;
mod order;
mod pay;
mod sell;
mod serve;
mod session;
mod settings;
mod stamp;
mod trust;
mod vault;
mod verify;
mod wallet;
mod window;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::home::{Home, Role};

/// Fair deals between parties who do not trust each other, with proof that a stranger can check.
#[derive(Debug, Parser)]
#[command(
    name = "semper",
    version,
    about,
    max_term_width = 110,
    after_help = "Try `semper demo` first: it shows everything on this machine in a little over a minute."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
struct Common {
    /// The data directory [default: ~/.local/share/semper]
    #[arg(long, global = true, env = "SEMPER_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A file with the passphrase; without it the passphrase is asked for
    #[arg(long, global = true, env = "SEMPER_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Common {
    fn home(&self) -> Result<Home> {
        Home::at(self.dir.clone())
    }

    /// The data directory of each role: the one that was given if there is one role, else those of their names inside it.
    fn homes(&self, roles: &[Role]) -> Result<Vec<Home>> {
        let home = self.home()?;
        match roles {
            [_] => Ok(vec![home]),
            _ => roles.iter().map(|role| Home::at(Some(home.dir().join(role.name())))).collect(),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a data directory with fresh keys
    Init(init::Init),
    /// Run a party's node until it is stopped
    Up(serve::Up),
    /// Open your desk in the browser: deals, money, offers, contacts
    Desk(desk::Desk),
    /// Open your approval window in the browser: read what waits for your answer, and answer
    Window(window::Window),
    /// Run a third party until it is stopped
    Serve(serve::Serve),
    /// Stop the node that runs on this data directory
    Stop,
    /// The contact book
    #[command(subcommand)]
    Contact(contact::Contact),
    /// How your node goes about things: patience, who dates your deals
    Settings(settings::Settings),
    /// Propose a contract over files, and sign it together with the other party
    Sign(order::Sign),
    /// Certified mail: a letter that can be read only by whoever signs its receipt
    Mail(order::Mail),
    /// Send files, signed and acknowledged if you wish
    Send(order::Send),
    /// Pay somebody, by the means that both of you have and like best
    Pay(pay::Pay),
    /// Exchange money for other money: both amounts change hands, or neither
    Exchange(pay::Exchange),
    /// Sell a file to anybody: prints a link, and serves it
    Sell(sell::Sell),
    /// What you offer: links, and whether orders are taken
    #[command(subcommand)]
    Offers(offers::Offers),
    /// Buy what a link offers: pays, checks what comes and saves it
    Buy(sell::Buy),
    /// Give a file for one that a link offers: both change hands, or neither
    Swap(sell::Swap),
    /// Your money: purses at mints (e-cash) and banks (accounts)
    #[command(subcommand)]
    Wallet(wallet::Wallet),
    /// What waits for your answer
    Approvals(approve::Approvals),
    /// Read something that waits for your answer, and answer
    Approve(approve::Approve),
    /// Say no to something that waits for your answer
    Decline(approve::Decline),
    /// The holder of your keys: what it was asked and has signed, and whether it does
    #[command(subcommand)]
    Vault(vault::Vault),
    /// What your keys may sign without asking you: limits that you have signed yourself
    #[command(subcommand)]
    Mandate(mandate::Mandates),
    /// Your deals
    #[command(subcommand)]
    Deals(deals::Deals),
    /// Write everything of yours into one encrypted file, or check such a file
    Backup(backup::Backup),
    /// Make a new data directory from a backup
    Restore(backup::Restore),
    /// Certify that a name belongs to your keys
    Certify(serve::Certify),
    /// What a certification authority does: invite somebody, revoke a certificate
    #[command(subcommand)]
    Ca(serve::Ca),
    /// What the operator of an arbiter does: money in its hands, what it owes, its purses
    #[command(subcommand)]
    Arbiter(arbiter::Arbiter),
    /// What the operator of a mint does: audit, rotate the keys
    #[command(subcommand)]
    Mint(serve::Mint),
    /// What the operator of a bank does: accounts, money by hand, audit
    #[command(subcommand)]
    Bank(serve::Bank),
    /// Have a file, or every signature of a deal, dated by a time-stamp authority
    Stamp(stamp::Stamp),
    /// Check a deal folder: what happened, who signed what, what is proven
    Verify(verify::Verify),
    /// Judge a deal by its folders: does it bind both, was it paid, was it delivered?
    Judge(judge::Judge),
    /// Rights that others have given to you: tickets, subscriptions, memberships
    #[command(subcommand)]
    Credential(credential::Credential),
    /// A guarantor that stands for somebody under one contract: if they do not pay, it does
    #[command(subcommand)]
    Cover(cover::Cover),
    /// What the operator of a guarantor does: customers, claims, what it owes
    #[command(subcommand)]
    Guarantor(guarantor::Guarantor),
    /// What the operator of an issuer of credentials does
    #[command(subcommand)]
    Issuer(credential::Issuer),
    /// See everything at work on this machine, with separate processes
    Demo(demo::Demo),
}

/// In `semper deals list | head` the reader ends first; that is no fault of ours to be reported. The process may end anywhere: whatever it
/// has begun is in the archive.
fn end_quietly_when_nobody_reads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
            std::process::exit(128 + 13);
        }
        report(panic);
    }));
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(crate::vault::COMMAND) => return semper_vault::process::main(arguments),
        Some(semper_window::process::COMMAND) => return semper_window::process::main(arguments),
        _ => {}
    }
    end_quietly_when_nobody_reads();
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("SEMPER_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_ansi(colours).with_env_filter(filter).with_writer(std::io::stderr).init();
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("semper: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<ExitCode> {
    let Cli { common, command } = cli;
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start");
    match command {
        // What a node gives up, each of its threads has to give up: it does so before it has more than one.
        Command::Up(up) => {
            let begun = up.begin(&common)?;
            runtime()?.block_on(begun.run())?;
            Ok(ExitCode::SUCCESS)
        }
        command => runtime()?.block_on(run(common, command)),
    }
}

async fn run(common: Common, command: Command) -> Result<ExitCode> {
    match command {
        Command::Verify(verify) => return verify.run(),
        Command::Judge(judge) => return Ok(judge.run(&common)),
        Command::Init(init) => init.run(&common)?,
        Command::Up(_) => unreachable!("it was begun without a runtime"),
        Command::Desk(desk) => desk.run(&common).await?,
        Command::Window(window) => window.run(&common).await?,
        Command::Serve(serve) => serve.run(&common).await?,
        Command::Stop => serve::stop(&common).await?,
        Command::Contact(contact) => contact.run(&common).await?,
        Command::Settings(settings) => settings.run(&common).await?,
        Command::Sign(sign) => return sign.run(&common).await,
        Command::Mail(mail) => return mail.run(&common).await,
        Command::Send(send) => return send.run(&common).await,
        Command::Pay(pay) => return pay.run(&common).await,
        Command::Exchange(exchange) => return exchange.run(&common).await,
        Command::Sell(sell) => return sell.run(&common).await,
        Command::Offers(offers) => offers.run(&common).await?,
        Command::Buy(buy) => return buy.run(&common).await,
        Command::Swap(swap) => return swap.run(&common).await,
        Command::Wallet(wallet) => return wallet.run(&common).await,
        Command::Approvals(approvals) => approvals.run(&common).await?,
        Command::Approve(approve) => approve.run(&common).await?,
        Command::Decline(decline) => decline.run(&common).await?,
        Command::Vault(vault) => vault.run(&common)?,
        Command::Mandate(mandate) => mandate.run(&common).await?,
        Command::Deals(deals) => return deals.run(&common).await,
        Command::Stamp(stamp) => stamp.run(&common).await?,
        Command::Backup(backup) => backup.run(&common).await?,
        Command::Restore(restore) => restore.run(&common).await?,
        Command::Certify(certify) => certify.run(&common).await?,
        Command::Ca(ca) => ca.run(&common).await?,
        Command::Arbiter(arbiter) => arbiter.run(&common).await?,
        Command::Mint(mint) => mint.run(&common).await?,
        Command::Bank(bank) => bank.run(&common).await?,
        Command::Credential(credential) => credential.run(&common).await?,
        Command::Cover(cover) => cover.run(&common).await?,
        Command::Guarantor(guarantor) => guarantor.run(&common).await?,
        Command::Issuer(issuer) => issuer.run(&common).await?,
        Command::Demo(demo) => demo.run().await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
