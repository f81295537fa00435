//! The demo's configuration: an ordinary text, as anyone could write it.

use std::fmt::Write as _;

use lab::World;
use lab::world::SMARTHOST_USER;

use super::{Place, Ports};

/// The configuration of a demo in `place` whose partners are those of `world`.
pub fn text(place: &Place, ports: Ports, world: &World) -> String {
    let name_server = world.dns().address();
    let authority = place.partners_authority();
    let password = place.smart_host_password();
    let smart_host = host(world, "mx.smarthost.test");
    let old_smart_host = host(world, "mx.tls12.test");
    let (exchangers, port) = (exchangers(world), world.port().unwrap_or(ports.smtp.max(1)));
    let Ports { smtp, smtps, submission } = ports;
    format!(
        r#"# The configuration of the demo, written anew at every start: changes here are lost.
# It is an ordinary one. Copy what you like into a file of your own, and check it:
#     mailkeep config check FILE

hostname   mx.clinic.test
ca-bundle  "{authority}"    # the authority of the partners' certificates

certificate local {{
    local-authority
    names  mx.clinic.test localhost
}}

listener smtp {{
    address      127.0.0.1
    port         {smtp}
    protocol     smtp
    tls          starttls
    certificate  local
}}
listener smtps {{
    address      127.0.0.1
    port         {smtps}
    protocol     submission
    tls          implicit
    certificate  local
    auth         required
}}
listener submission {{
    address      127.0.0.1
    port         {submission}
    protocol     submission
    tls          starttls
    certificate  local
    auth         required
}}

domain clinic.test {{ mailboxes local }}
domain secure.clinic.test {{
    mailboxes   local
    recipients  any
}}

rules {{
    rule disableAUTH_on_non_SSL {{
        plain-connections  not-authenticated
    }}
    rule enableAUTH_on_SSL {{
        tls-connections  authenticated plain login
    }}
    rule allow_only_tls_for_secure_clinic_test {{
        when all {{
            connection is not tls
            recipient domain is secure.clinic.test
        }}
        reject 550 5.7.10 "Accepting only secure delivery (STARTTLS) for secure.clinic.test"
    }}
    rule use_only_tls12_and_13_when_relaying {{
        when all {{
            delivery is relaying
            recipient domain is relayed.test
        }}
        relay-host          {smart_host} credentials smarthost
        relay-encryption    required
        relay-tls-versions  1.2 1.3
    }}
    # The next two lead to a host that speaks TLS 1.2 and nothing newer.
    rule use_tls12_and_13_with_an_older_host {{
        when all {{
            delivery is relaying
            recipient domain is older.test
        }}
        relay-host          {old_smart_host}
        relay-encryption    required
        relay-tls-versions  1.2 1.3
    }}
    rule use_tls13_with_an_older_host {{
        when all {{
            delivery is relaying
            recipient domain is newest.test
        }}
        relay-host          {old_smart_host}
        relay-encryption    required
        relay-tls-versions  1.3
    }}
}}
credentials smarthost {{
    user      {SMARTHOST_USER}
    password  "file:{password}"
}}

force-encrypt {{
    partner.test     verified  owner "Dr. Lee"  reason "Contract 7: patient data"
    oldpartner.test
    dropper.test
}}

# Mail to 2025550147@fax.clinic.test becomes a fax. There is no line here, so it waits.
fax clinic {{
    domains              fax.clinic.test
    organisation         "Clinic"
    main-number          "+1 202 555 0199"
    country              US
    user                 dr.lee@clinic.test {{ number "+1 202 555 0101" }}
    spoofing-protection  on softfail reject
}}

# Short times, so that nobody has to wait for a story to end.
queue {{
    retry          2s 5s 30s 1m
    lifetime       10m
    policy-notice  1s
}}
timeouts {{
    connect    5s
    handshake  5s
    shutdown   2s
}}
evidence {{ checkpoint-every 5s }}

# The partners are in this process: their names end in .test, and this DNS knows them.
# The demo connects to loopback alone, whatever stands here.
dns {{ server {name_server} }}
delivery {{
    port      {port}
    loopback  on
}}
mx {{
    outside.test  192.0.2.25:25   # out of reach, to show that it is
{exchangers}}}
"#,
        authority = authority.display(),
        password = password.display(),
    )
}

/// Where each partner is, where DNS cannot say it because they share no port.
fn exchangers(world: &World) -> String {
    let mut lines = String::new();
    if world.port().is_some() {
        return lines;
    }
    for (domain, servers) in world.routes() {
        let servers: Vec<_> =
            servers.iter().map(|(name, address)| format!("{name}:{}", address.port())).collect();
        // Writing to memory cannot fail.
        let _ = writeln!(lines, "    {domain}  {}", servers.join(" "));
    }
    lines
}

/// A partner as `relay-host` names it.
fn host(world: &World, name: &str) -> String {
    let port = world.partner(name).map_or(0, |partner| partner.address().port());
    format!("{name}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_demos_configuration_has_no_error_and_no_warning() {
        let folder = tempfile::TempDir::new().unwrap();
        let place = Place::new(folder.path().to_owned());
        let world = World::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let text = text(&place, "0".parse().unwrap(), &world);
        let outcome = config::parse(&text);
        assert_eq!(outcome.render(), "");
        assert!(outcome.config.is_some());
    }
}
