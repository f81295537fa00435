//! What the lists of clients say about one.

use std::net::IpAddr;
use std::sync::Arc;

use lists::{Finding, query};
use rules::lists::Listings;
use tokio::task::{JoinHandle, JoinSet};

use super::{ClientList, Lists, Source};

impl Lists {
    /// Asks every list about a client, all at once, while the session goes on. It ends in
    /// the time of the slowest list.
    pub fn look_up(self: &Arc<Self>, ip: IpAddr) -> JoinHandle<Listings> {
        let lists = Arc::clone(self);
        tokio::spawn(async move { lists.client(ip).await })
    }

    /// What every list says about a client, in the order of the configuration.
    pub async fn client(self: &Arc<Self>, ip: IpAddr) -> Listings {
        let ip = ip.to_canonical();
        let mut under_way = JoinSet::new();
        for (at, list) in self.clients.iter().enumerate() {
            if list.settings.except.iter().any(|network| network.contains(&ip)) {
                continue;
            }
            let (lists, list) = (Arc::clone(self), Arc::clone(list));
            under_way.spawn(async move {
                let finding = list.ask(ip, &lists).await;
                lists.note(&list.settings.list, finding.as_slice());
                (at, finding)
            });
        }
        let mut found: Vec<_> = under_way
            .join_all()
            .await
            .into_iter()
            .filter_map(|(at, finding)| finding.map(|finding| (at, finding)))
            .collect();
        found.sort_by_key(|(at, _)| *at);
        Listings(found.into_iter().map(|(_, finding)| finding).collect())
    }
}

impl ClientList {
    async fn ask(&self, ip: IpAddr, lists: &Lists) -> Option<Finding> {
        let list = &self.settings.list;
        let finding = |codes, weight: Option<u32>, reason| Finding {
            list: list.name.value.clone(),
            subject: ip.to_string(),
            codes,
            action: *list.action,
            weight: weight.unwrap_or(*list.weight),
            reason,
        };
        match &self.source {
            Source::Own(own) => {
                let entry = own.address(ip)?;
                Some(finding(Vec::new(), None, entry.reason.map(str::to_owned)))
            }
            // What lies within our own walls is not told to strangers.
            Source::Zone(_) if !query::is_public(ip) => None,
            Source::Zone(zone) => {
                let name = query::address(ip, zone.zone())?;
                let listed = zone.ask(&name, ip.is_ipv6(), &lists.questions).await?;
                Some(finding(listed.codes, listed.weight, listed.reason))
            }
        }
    }
}
