//! Who gets a fax that comes in.
//!
//! The list of callers that nobody wants is looked at first, then the table of numbers, then
//! the numbers of users; what is left goes to the catch-all. Someone of a trusted email domain
//! who is no user is never among these.

use mail::Address;

use crate::number::{Number, Plan, Prefix};

/// What the line tells of a fax that came in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The number that was called.
    pub called: Option<Number>,
    /// The number of the caller, by the network.
    pub caller: Option<Number>,
    /// What the other machine calls itself: anything its owner wrote.
    pub station: String,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// Nobody gets it.
    Junk,
    /// The table says who.
    Routed(&'a Address),
    /// It is a user's own number.
    Owned(&'a Address),
    /// Nobody has the number, or it is not known.
    CatchAll(&'a Address),
}

/// Who gets what on one account.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    /// Beginnings of the numbers of callers that nobody wants.
    pub junk: &'a [Prefix],
    /// Called numbers and who gets their faxes.
    pub routes: &'a [(Number, Address)],
    /// The numbers of users.
    pub owners: Vec<(&'a Number, &'a Address)>,
    /// Who gets the others.
    pub catch_all: &'a Address,
}

impl Arrival {
    /// Reads what HylaFAX writes into a received file: the name of the other machine, then a
    /// line for each number the line told. `called` and `caller` are lines of those, from 1.
    pub fn read(description: &str, called: u32, caller: u32, plan: &Plan) -> Self {
        let mut lines = description.lines().map(str::trim);
        let station = lines.next().unwrap_or_default().to_owned();
        let told: Vec<&str> = lines.collect();
        let number = |line: u32| {
            let text = told.get((line as usize).checked_sub(1)?)?;
            // What may be called is no question here.
            plan.open().read(text).ok()
        };
        Self { called: number(called), caller: number(caller), station }
    }
}

impl<'a> Table<'a> {
    /// Who gets a fax.
    pub fn way(&self, arrival: &Arrival) -> Way<'a> {
        if let Some(caller) = &arrival.caller
            && self.junk.iter().any(|prefix| prefix.begins(caller))
        {
            return Way::Junk;
        }
        let Some(called) = &arrival.called else { return Way::CatchAll(self.catch_all) };
        if let Some((_, to)) = self.routes.iter().find(|(number, _)| number == called) {
            return Way::Routed(to);
        }
        match self.owners.iter().find(|(number, _)| *number == called) {
            Some((_, owner)) => Way::Owned(owner),
            None => Way::CatchAll(self.catch_all),
        }
    }
}

impl Way<'_> {
    /// Who gets it; nobody for junk.
    pub const fn to(&self) -> Option<&Address> {
        match self {
            Self::Junk => None,
            Self::Routed(to) | Self::Owned(to) | Self::CatchAll(to) => Some(to),
        }
    }

    /// Why, in words.
    pub const fn because(&self) -> &'static str {
        match self {
            Self::Junk => "the caller is on the junk list",
            Self::Routed(_) => "the account routes the number so",
            Self::Owned(_) => "it is the number of this user",
            Self::CatchAll(_) => "nobody has the number, or the line did not tell it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn plan() -> Plan {
        Plan::of("US".parse().unwrap())
    }

    #[test]
    fn the_lines_of_a_received_file_name_the_machine_and_both_numbers() {
        let arrival = Arrival::read("+1 555 0100\n4155550101\n\n\n(202) 555-0101", 4, 1, &plan());
        assert_eq!(arrival.station, "+1 555 0100");
        assert_eq!(arrival.caller.unwrap().as_str(), "+14155550101");
        assert_eq!(arrival.called.unwrap().as_str(), "+12025550101");
        for unknown in ["", "Station", "Station\nANONYMOUS\n\n\nnobody"] {
            let arrival = Arrival::read(unknown, 4, 1, &plan());
            assert_eq!((arrival.called, arrival.caller), (None, None));
        }
        assert_eq!(Arrival::read("S\n+12025550101", 0, 9, &plan()).called, None);
    }

    #[test]
    fn a_fax_goes_by_the_junk_list_then_the_table_then_the_users_then_the_catch_all() {
        let (ann, kim, desk) =
            (address("ann@clinic.example"), address("kim@clinic.example"), address("d@c.example"));
        let number = |text: &str| plan().read(text).unwrap();
        let routes = [(number("2025550102"), kim.clone())];
        let own = number("2025550101");
        let both = number("2025550102");
        let junk = ["+44".parse().unwrap()];
        let table = Table {
            junk: &junk,
            routes: &routes,
            owners: vec![(&own, &ann), (&both, &ann)],
            catch_all: &desk,
        };
        let way = |called: Option<&str>, caller: Option<&str>| {
            table.way(&Arrival {
                called: called.map(number),
                caller: caller.map(number),
                station: String::new(),
            })
        };
        assert_eq!(way(Some("2025550101"), Some("+442079460958")), Way::Junk);
        assert_eq!(way(Some("2025550102"), None), Way::Routed(&kim));
        assert_eq!(way(Some("2025550101"), Some("4155550101")), Way::Owned(&ann));
        assert_eq!(way(Some("2025550109"), None), Way::CatchAll(&desk));
        assert_eq!(way(None, None), Way::CatchAll(&desk));
    }
}
