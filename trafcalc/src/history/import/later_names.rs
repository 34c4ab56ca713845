//! Names that a log has only after the bytes. The service writes the number of a user whose name it does not know yet.
//! Only the same log and epoch tell whose number that was, because another user may be given it afterwards. Pure.

use std::collections::HashMap;

use crate::records::Record;

/// Most names kept, some 100 bytes each. A service learns a user's name once, unless its directory server fails for
/// long. Users beyond the limit keep their numbers.
const MAX_NAMES: usize = 1 << 20;

/// The names of users that a log first has by number.
#[derive(Default)]
pub(super) struct LaterNames {
    users: HashMap<(u64, u32), User>,
    names: usize,
}

#[derive(Default)]
struct User {
    is_nameless: bool,
    /// In order: the lines that name the user after lines with the number, and the names.
    named: Vec<(u64, String)>,
}

impl LaterNames {
    /// Notes which user the record in line number `line` names. Lines come in order.
    pub fn note(&mut self, line: u64, record: &Record) {
        let Some((epoch, uid)) = whose(record).filter(|_| self.names < MAX_NAMES) else { return };
        let Some(name) = record.text("user") else { return };
        if is_number(&name, uid) {
            self.names += usize::from(!self.users.contains_key(&(epoch, uid)));
            self.users.entry((epoch, uid)).or_default().is_nameless = true;
        } else if let Some(user) = self.users.get_mut(&(epoch, uid)).filter(|user| user.is_nameless) {
            user.is_nameless = false;
            user.named.push((line, name));
            self.names += 1;
        }
    }

    /// The first name after line number `line` of the user that the record there has by number.
    pub fn of(&self, line: u64, record: &Record) -> Option<&str> {
        let named = &self.users.get(&whose(record)?)?.named;
        let next = named.partition_point(|(named_at, _)| *named_at <= line);
        named.get(next).map(|(_, name)| name.as_str())
    }
}

/// Whether a user's name is only the number.
pub(super) fn is_number(name: &str, uid: u32) -> bool {
    name.parse() == Ok(uid)
}

/// The epoch and the user's number.
fn whose(record: &Record) -> Option<(u64, u32)> {
    record.number("epoch").zip(record.text("uid")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u64, uid: u32, user: &str) -> Record {
        Record::read(&format!("type=account epoch={epoch} uid={uid} user=\"{user}\"")).unwrap()
    }

    #[test]
    fn a_number_has_the_name_that_the_same_life_tells_next() {
        let lines = [
            record(1, 1000, "1000"),
            record(1, 1000, "ada"),
            record(1, 1000, "1000"),
            record(2, 1000, "bob"),
            record(1, 1000, "carol"),
            record(1, 1000, "dan"),
            record(1, 1000, "1000"),
            record(1, 7, "7"),
        ];
        let mut later = LaterNames::default();
        (0..).zip(&lines).for_each(|(line, record)| later.note(line, record));
        let names: Vec<_> = (0..).zip(&lines).map(|(line, record)| later.of(line, record)).collect();
        assert_eq!((names[0], names[2], names[6], names[7]), (Some("ada"), Some("carol"), None, None));
        assert_eq!(later.of(0, &record(2, 1000, "1000")), None, "another life says nothing of this one");
    }
}
