//! Starting the demo: partners, files, the server, and its one person.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use delivery::Egress;
use lab::World;
use lab::world::SMARTHOST_PASSWORD;
use mail::Address;
use tls::authority::{write_public, write_secret};
use tokio::task::JoinHandle;

use super::place::random_password;
use super::{Place, Ports, configuration, witness};
use crate::admin::Admin;
use crate::control::accounts::{Request as AccountRequest, Typed};
use crate::control::{self, Request, exit};
use crate::revision::Texts;
use crate::server::{Launch, Server};

/// The demo's person, who signs in, sends and receives.
pub const PERSON: &str = "dr.lee@clinic.test";

/// A running demo. Dropping it ends the partners.
pub struct Demo {
    /// The server, an ordinary one but for where it may connect.
    pub server: Arc<Server>,
    /// The person's password, if it was made just now.
    pub new_password: Option<String>,
    witness: JoinHandle<()>,
}

impl Demo {
    /// Starts everything in `place`.
    ///
    /// # Errors
    ///
    /// What is in the way: the folder, a port, another server in the same folder.
    pub async fn start(place: &Place, ports: Ports) -> Result<Self> {
        place.prepare()?;
        let world = World::start(([127, 0, 0, 1], 0).into()).await?;
        write_public(&place.partners_authority(), &world.authority().pem())?;
        write_secret(&place.smart_host_password(), SMARTHOST_PASSWORD)?;
        let text = configuration::text(place, ports, &world);
        write_public(&place.configuration(), &text)?;
        let outcome = config::load(&place.configuration());
        let Some(config) = outcome.config else { bail!("{}", outcome.render()) };
        let texts = Texts { root: text, files: BTreeMap::new() };
        let data = place.folder().to_owned();
        let launch =
            Launch { file: None, config, texts, instead: None, data, egress: Egress::LoopbackOnly };
        let server = Server::start(launch).await.map_err(|error| with_way_out(&error))?;
        let new_password = make_person(&server, place).await?;
        let witness = witness::start(place, world)?;
        Ok(Self { server, new_password, witness })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.witness.abort();
    }
}

/// What keeps the server from starting, and what to do about it.
fn with_way_out(error: &anyhow::Error) -> anyhow::Error {
    let taken = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::AddrInUse);
    let way_out = if taken { "\nChoose other ports: --port-base 3525, or 0 for any." } else { "" };
    anyhow!("The demo cannot start: {error:#}{way_out}")
}

/// Makes the person's account at the first start, and a new password where the file of
/// the old one is gone; gives the password if it is new.
async fn make_person(server: &Arc<Server>, place: &Place) -> Result<Option<String>> {
    let address = Address::parse(PERSON)?;
    let known = server.accounts.directory().account(&address).is_some();
    if known && place.read_password().is_ok() {
        return Ok(None);
    }
    let password = random_password()?;
    let typed = Typed(password.clone());
    let request = if known {
        AccountRequest::Password { address, password: typed }
    } else {
        AccountRequest::Add { address, password: typed }
    };
    let answer = control::answer(&Admin::of(server), Request::Account(request)).await;
    if answer.exit != exit::FINE {
        bail!("the account {PERSON} cannot be made: {}", answer.text);
    }
    write_secret(&place.password(), &format!("{password}\n"))?;
    Ok(Some(password))
}
