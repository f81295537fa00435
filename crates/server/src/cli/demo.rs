//! `mailkeep demo`, and `mailkeep serve` without a configuration.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use config::model::{LogFormat, LogLevel};
use tokio::task::JoinHandle;

use super::{Global, serve};
use crate::control::exit;
use crate::demo::page::Page;
use crate::demo::{self, Demo, Operator, Place, banner, stories};

/// How to play the demo.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mailkeep demo\n  mailkeep --data /tmp/demo demo --once --port-base 0"
)]
pub struct Options {
    #[command(flatten)]
    demo: demo::Options,
    /// End after the stories: exit code 0 if all of them passed, 2 if one failed
    #[arg(long)]
    once: bool,
}

/// How long the server may take to answer at its control socket.
const START_MAX: Duration = Duration::from_secs(10);
/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// Runs the demo's server until it is told to stop.
pub fn serve(global: &Global, options: &demo::Options) -> u8 {
    let place = place(global);
    serve::blocking(async move {
        let operator = Operator::of(&place);
        if operator.is_answered().await? {
            bail!(
                "A server runs in {} already. Its stories: mailkeep demo",
                place.folder().display()
            );
        }
        let (demo, attending) = start(&place, &operator, options).await?;
        let page = Page::new(command(global, &place), !global.quiet);
        page.line("No configuration file found: this is a demo. Nothing is sent to the internet.");
        page.line("");
        page.line(&banner::text(&place, &operator, demo.new_password.as_deref()).await?);
        page.line("");
        page.line(&format!(
            "Now try:  {} demo     Ctrl-C stops the server.",
            command(global, &place)
        ));
        serve::log(LogFormat::Text, LogLevel::Info);
        attending.await?
    })
}

/// Plays the stories, against a demo of its own unless one runs.
pub fn run(global: &Global, options: &Options) -> u8 {
    let place = place(global);
    let mut found = exit::FINE;
    let ended = serve::blocking(async {
        let operator = Operator::of(&place);
        found = if operator.is_answered().await? {
            play_elsewhere(global, &place).await?
        } else {
            play_here(global, options, &place, &operator).await?
        };
        Ok(())
    });
    if ended == exit::FINE { found } else { ended }
}

/// Plays against the demo that another process runs.
async fn play_elsewhere(global: &Global, place: &Place) -> Result<u8> {
    if !place.witness().exists() {
        bail!("The server in {} is not a demo.", place.folder().display());
    }
    let mut page = page(global, place);
    page.line(&format!("Playing against the demo that runs in {}.", banner::short(place.folder())));
    stories::tell(place, &mut page).await?;
    Ok(conclude(global, &page))
}

/// Starts a demo, plays, and stays up unless told otherwise.
async fn play_here(
    global: &Global,
    options: &Options,
    place: &Place,
    operator: &Operator,
) -> Result<u8> {
    let mut page = page(global, place);
    let (demo, mut attending) = start(place, operator, &options.demo).await?;
    page.line("Mailkeep demo. Nothing is sent to the internet.");
    page.line("");
    page.line(&banner::text(place, operator, demo.new_password.as_deref()).await?);
    tokio::select! {
        told = stories::tell(place, &mut page) => told?,
        ended = &mut attending => {
            ended??;
            bail!("stopped before the last story was told");
        }
    }
    let found = conclude(global, &page);
    if options.once {
        demo.server.stop().await;
        attending.abort();
        let again =
            if place.folder() == demo::data_default() { "" } else { " with the same --data" };
        page.line(&format!(
            "The demo has stopped. To look around, start it{again}: serve, or demo without --once."
        ));
        return Ok(found);
    }
    page.line("The demo stays up: look around with the commands above. Ctrl-C stops it.");
    serve::log(LogFormat::Text, LogLevel::Info);
    attending.await??;
    Ok(found)
}

/// Starts the demo and answers its control socket.
async fn start(
    place: &Place,
    operator: &Operator,
    options: &demo::Options,
) -> Result<(Demo, JoinHandle<Result<()>>)> {
    let demo = Demo::start(place, options.port_base).await?;
    let attending = tokio::spawn(serve::attend(Arc::clone(&demo.server)));
    let answered = async {
        while !operator.is_answered().await? {
            tokio::time::sleep(ASK_EVERY).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(START_MAX, answered)
        .await
        .context("the control socket does not answer")??;
    Ok((demo, attending))
}

/// Prints what came of the stories and gives the exit code.
fn conclude(global: &Global, page: &Page) -> u8 {
    page.line("");
    page.line(&page.summary());
    if global.json && !global.quiet {
        println!("{}", page.to_json());
    }
    if page.holds() { exit::FINE } else { exit::FOUND }
}

fn place(global: &Global) -> Place {
    Place::new(global.data.clone().unwrap_or_else(demo::data_default))
}

fn page(global: &Global, place: &Place) -> Page {
    Page::new(command(global, place), !global.quiet && !global.json)
}

/// The command that reaches this demo, as people can type it here.
fn command(global: &Global, place: &Place) -> String {
    let program = program();
    // Without --data, a configuration file would lead to another server.
    let is_default = place.folder() == demo::data_default()
        && serve::config_file(global).is_ok_and(|file| file.is_none());
    if is_default { program } else { format!("{program} --data {}", place.folder().display()) }
}

/// The name of this program: alone if the shell finds it, else its path from here.
fn program() -> String {
    const NAME: &str = "mailkeep";
    let Ok(own) = std::env::current_exe() else { return NAME.to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(NAME)).find(|p| p.is_file());
    if found.and_then(|found| found.canonicalize().ok()).is_some_and(|found| found == own) {
        return NAME.to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    own.strip_prefix(&here).unwrap_or(&own).display().to_string()
}
