//! What becomes of a message that is taken: its changes, its way out, what is demanded there.

use delivery::{Approach, Route};
use mail::{Address, Timestamp};
use rules::settings::{HeaderEdit, Settings};
use rules::story::Story;
use rules::{Decision, Facts, Outcome, RecipientFacts, RuleId, Stage};
use serde_json::{Value, json};
use tls::Level;

use super::ground::Ground;
use super::{NEXT_LINE, put};
use crate::dispatch::route;

/// Tells what becomes of the message for the recipient in `facts`, as `decision` has it.
pub fn add(
    ground: &Ground,
    facts: &Facts,
    decision: &Decision,
    story: &mut Story,
) -> Option<Value> {
    let settings = &decision.settings;
    let changes = changes(ground, settings);
    if !changes.is_empty() {
        put(story, Stage::Data, changes.join(NEXT_LINE));
    }
    match decision.outcome {
        Outcome::Continue | Outcome::Accept => {}
        Outcome::Discard | Outcome::Quarantine(_) | Outcome::Reject(_) | Outcome::Defer(_) => {
            story.chapters.retain(|told| told.stage != Stage::Relay);
            return None;
        }
    }
    let given = &facts.recipient.as_ref()?.address;
    let to = settings.redirect.as_ref().map_or(given, |redirect| &redirect.value);
    let to = ground.directory.resolve(to).redirected().unwrap_or(to).clone();
    if to != *given {
        put(story, Stage::Data, format!("goes to {to}"));
    }
    Some(leave(ground, facts, &to, story))
}

/// What the rules change in the message, each with its rule.
fn changes(ground: &Ground, settings: &Settings) -> Vec<String> {
    let policy = &ground.snapshot.policy;
    let by = |what: String, id: RuleId| match policy.rule(id) {
        Some(rule) => format!("{what} (rule {} {})", policy.number(id), rule.name),
        None => what,
    };
    let mut changes: Vec<String> = settings
        .headers
        .iter()
        .map(|edit| match &*edit.value {
            HeaderEdit::Add { name, value } => by(format!("adds {name}: {value}"), edit.by),
            HeaderEdit::Remove { name } => by(format!("removes the fields {name}"), edit.by),
        })
        .collect();
    let tag = settings.subject_tag.iter();
    changes.extend(tag.map(|tag| by(format!("puts \"{}\" before the subject", tag.value), tag.by)));
    let too = settings.add_recipients.iter();
    changes.extend(too.map(|to| by(format!("goes to {} too", to.value), to.by)));
    changes
}

/// The way out, and what is demanded on it.
fn leave(ground: &Ground, facts: &Facts, to: &Address, story: &mut Story) -> Value {
    let snapshot = &ground.snapshot;
    let domain = to.domain();
    let mut facts = facts.clone();
    let is_local = snapshot.is_ours(domain);
    facts.recipient = Some(RecipientFacts { address: to.clone(), is_local, account: None });
    let settings = snapshot.policy.decide(&facts, Stage::Relay).settings;
    // Its headline knows the rules only, and not the routes.
    for chapter in story.chapters.iter_mut().filter(|told| told.stage == Stage::Relay) {
        chapter.headline.clear();
    }
    let route = match route::choose(snapshot, &settings, domain, None) {
        Ok(route) => route,
        Err(error) => {
            put(story, Stage::Relay, format!("no way out: {error:#}; the message would wait"));
            return json!({ "to": to, "error": format!("{error:#}") });
        }
    };
    let host = match &route {
        Route::SmartHost(smart) => smart.host.to_string(),
        // The names of mail exchangers are not known without asking DNS.
        Route::Mx(_) | Route::Lmtp(_) | Route::Maildir(_) | Route::Fax(_) => String::new(),
    };
    if matches!(route, Route::Maildir(_)) {
        story.outcome = format!("{} -> mailbox {to}", story.outcome);
        return json!({ "to": to, "route": route.to_string(), "protection": "LOCAL" });
    }
    if let Route::Fax(account) = &route {
        story.outcome = format!("{} -> fax account {account}", story.outcome);
        return json!({ "to": to, "route": route.to_string(), "protection": "LOCAL" });
    }
    let now = facts.now.map_or_else(Timestamp::now, |moment| moment.0);
    let approach = Approach { domain, host: &host, ip: None, dns_secure: false };
    let demands = route::demands(snapshot, &settings, &route, false, &approach, now);
    let joined = demands.joined();
    let by = match snapshot.config.mx(domain) {
        Some(entry) if matches!(route, Route::Mx(_)) => {
            let hosts: Vec<String> = entry.targets.iter().map(ToString::to_string).collect();
            format!("{}, the mx of {domain} by configuration", hosts.join(", "))
        }
        Some(_) | None => route.to_string(),
    };
    put(story, Stage::Relay, format!("by {by}: {joined}"));
    let mut told = Vec::new();
    for demand in demands.iter() {
        if demand.requirement.level > Level::None || demands.iter().count() == 1 {
            put(story, Stage::Relay, format!("  {} demands {}", demand.source, demand.requirement));
        }
        told.push(json!({ "source": demand.source, "requirement": demand.requirement }));
    }
    if matches!(route, Route::Mx(_)) && !snapshot.policy.force_encrypt().entries().is_empty() {
        put(story, Stage::Relay, "  Force Encrypt entries for its hosts or their addresses are added when they are known".to_owned());
    }
    let goes = if is_local { "to" } else { "relayed to" };
    story.outcome = format!("{} -> {goes} {to}", story.outcome);
    json!({ "to": to, "route": route.to_string(), "demanded": joined, "demands": told })
}
