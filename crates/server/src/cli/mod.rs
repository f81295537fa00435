//! The command line (UX section 1.3).

mod ask;
mod configuration;
mod demo;
mod evidence;
mod explain;
pub mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::control::{self, Request, exit};

/// Where the configuration is when nobody says.
pub const CONFIG_DEFAULT: &str = "/etc/mailkeep/mailkeep.conf";

/// Mailkeep: a secure mail server and gateway whose protection can be proved.
#[derive(Parser)]
#[command(name = "mailkeep", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Run \"mailkeep COMMAND --help\" for one command.\n\
    With no configuration file, \"mailkeep serve\" is a safe demo that never leaves this machine.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options every command takes.
#[derive(Args, Clone)]
pub struct Global {
    /// Configuration file [default: /etc/mailkeep/mailkeep.conf]
    #[arg(short, long, global = true, env = "MAILKEEP_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder, in place of the one the configuration names
    #[arg(long, global = true, env = "MAILKEEP_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long, global = true)]
    pub json: bool,
    /// Only the exit code
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (with no configuration file: a safe local demo)
    Serve(serve::Options),
    /// Start the demo, play its stories with real bytes, stay up until Ctrl-C
    Demo(demo::Options),
    /// Check, format, show, compare, apply and take back configurations
    #[command(subcommand)]
    Config(configuration::Command),
    /// Show what the policy would do with a message, and why; nothing is delivered
    Explain(explain::Options),
    /// Follow a message, hop by hop, with its TLS proof
    Trace(control::trace::Request),
    /// See and steer what is waiting
    #[command(subcommand)]
    Queue(control::queue::Request),
    /// Accounts whose outgoing mail is held because they send spam
    #[command(subcommand)]
    Hold(control::hold::Request),
    /// Messages held by a rule
    #[command(subcommand)]
    Quarantine(control::quarantine::Request),
    /// Networks that are turned away for a time
    #[command(subcommand)]
    Ban(control::ban::Request),
    /// What senders have used of their quotas
    #[command(subcommand)]
    Quota(control::quota::Request),
    /// Partners that get mail encrypted or not at all
    #[command(subcommand)]
    ForceEncrypt(control::force_encrypt::Request),
    /// Faxes: accounts, jobs, pages; send again, cancel
    #[command(subcommand)]
    Fax(control::fax::Request),
    /// Domains of this server
    #[command(subcommand)]
    Domain(control::domains::Request),
    /// People who may sign in
    #[command(subcommand)]
    Account(control::accounts::Request),
    /// Passwords of single programs, shown once and revoked alone
    #[command(subcommand)]
    AppPassword(control::app_passwords::Request),
    /// The signed record of every hop: export, key, verify
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// The signed record of one message
    Proof(evidence::Proof),
    /// Check that every accepted message ended exactly once, or still waits
    #[command(subcommand)]
    Ledger(control::ledger::Request),
    /// Lists of clients and domains: whether they work, and what they say
    #[command(subcommand)]
    Lists(control::lists::Request),
    /// Keys that sign mail (DKIM): make, rotate, retire
    #[command(subcommand)]
    DkimKey(control::dkim_key::Request),
    /// What others report about mail in the name of our domains (DMARC)
    #[command(subcommand)]
    Dmarc(control::dmarc::Request),
    /// The DNS records to publish for a domain; or forget what the resolver remembers
    Dns(control::dns::Request),
    /// One screen: is mail flowing?
    Status,
    /// Read the configuration and certificates again, without dropping a session
    Reload,
}

/// The page behind a code, where the arguments end in `help C101`.
fn page() -> Option<String> {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[..] {
        [.., help, code] if help == "help" => config::explain_code(code),
        _ => None,
    }
}

/// Runs the command the arguments name.
pub fn run() -> ExitCode {
    if let Some(page) = page() {
        print!("{page}");
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::FINE };
            // Nothing is left to do if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let global = cli.global;
    ExitCode::from(match cli.command {
        Command::Serve(options) => serve::run(&global, &options),
        Command::Demo(options) => demo::run(&global, &options),
        Command::Config(command) => configuration::run(&global, command),
        Command::Domain(request) => ask::run(&global, &Request::Domain(request)),
        Command::Explain(options) => explain::run(&global, options),
        Command::Evidence(command) => evidence::run(&global, command),
        Command::Proof(options) => evidence::run_proof(&global, &options),
        Command::Trace(request) => ask::run(&global, &Request::Trace(request)),
        Command::Queue(request) => ask::run(&global, &Request::Queue(request)),
        Command::Hold(request) => ask::run(&global, &Request::Hold(request)),
        Command::Quarantine(request) => ask::run(&global, &Request::Quarantine(request)),
        Command::Ban(request) => ask::run(&global, &Request::Ban(request)),
        Command::Quota(request) => ask::run(&global, &Request::Quota(request)),
        Command::Fax(request) => ask::run(&global, &Request::Fax(request)),
        Command::ForceEncrypt(request) => ask::run(&global, &Request::ForceEncrypt(request)),
        Command::AppPassword(request) => ask::run(&global, &Request::AppPassword(request)),
        Command::Account(request) => ask::run_account(&global, request),
        Command::Ledger(request) => ask::run(&global, &Request::Ledger(request)),
        Command::DkimKey(request) => ask::run_dkim_key(&global, request),
        Command::Lists(request) => ask::run(&global, &Request::Lists(request)),
        Command::Dmarc(request) => ask::run(&global, &Request::Dmarc(request)),
        Command::Dns(request) => ask::run(&global, &Request::Dns(request)),
        Command::Status => ask::run(&global, &Request::Status),
        Command::Reload => ask::run(&global, &Request::Reload),
    })
}
