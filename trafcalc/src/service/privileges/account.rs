//! Looks up the user of the service. `/etc/passwd` comes first, because the system's directory may be a server that does not answer.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User};

/// The user that the package creates.
pub(super) const USUAL: &str = "trafcalc";

/// The local users and groups.
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// How long the system's directory may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The fields of a user that the service needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

/// The user of this name, from `/etc/passwd`, else from the system's directory.
///
/// # Errors
/// The directory fails, or does not answer in time.
pub(super) fn find(name: &str) -> io::Result<Option<Account>> {
    match of_this_host(name) {
        Some(account) => Ok(Some(account)),
        None => in_directory(name, PATIENCE, |name| {
            let account = |user: User| Account { name: user.name, uid: user.uid, gid: user.gid };
            User::from_name(name).map(|user| user.map(account))
        }),
    }
}

/// The user of this name in `/etc/passwd`.
pub(super) fn of_this_host(name: &str) -> Option<Account> {
    accounts(Path::new(PASSWD)).into_iter().find(|account| account.name == name)
}

/// The name of a user in `/etc/passwd`, else the number.
pub(super) fn name_of(uid: Uid) -> String {
    let account = accounts(Path::new(PASSWD)).into_iter().find(|account| account.uid == uid);
    account.map_or_else(|| uid.to_string(), |account| account.name)
}

/// The number of a group in `/etc/group`.
pub(super) fn group(name: &str) -> Option<Gid> {
    let text = fs::read(GROUP).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut groups = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    groups.find_map(|fields| (fields.first() == Some(&name)).then(|| fields.get(2)?.parse().ok().map(Gid::from_raw))?)
}

fn accounts(passwd: &Path) -> Vec<Account> {
    let text = fs::read(passwd).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(account).collect()
}

/// A line of passwd(5).
fn account(line: &str) -> Option<Account> {
    let fields: Vec<_> = line.split(':').collect();
    let number = |field: usize| fields.get(field)?.parse().ok();
    let name = fields.first().filter(|name| !name.is_empty())?;
    Some(Account { name: (*name).to_owned(), uid: Uid::from_raw(number(2)?), gid: Gid::from_raw(number(3)?) })
}

/// Asks the directory in a thread of its own, which is abandoned if it does not answer in time.
fn in_directory(
    name: &str,
    patience: Duration,
    ask: impl FnOnce(&str) -> nix::Result<Option<Account>> + Send + 'static,
) -> io::Result<Option<Account>> {
    let (sender, answer) = mpsc::channel();
    let asked = name.to_owned();
    thread::Builder::new().name("user".to_owned()).spawn(move || sender.send(ask(&asked)))?;
    match answer.recv_timeout(patience) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(Errno::ENOENT | Errno::ESRCH)) => Ok(None),
        Ok(Err(errno)) => Err(errno.into()),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} s", patience.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_passwd_are_users_and_others_are_not() {
        let trafcalc = Account { name: "trafcalc".to_owned(), uid: 998.into(), gid: 997.into() };
        assert_eq!(account("trafcalc:!*:998:997:TCP payload accounting:/:/usr/sbin/nologin"), Some(trafcalc));
        for line in ["", "# comment", "+::::::", "trafcalc:x:998", ":x:998:997::/:", "trafcalc:x:-1:997::/:"] {
            assert_eq!(account(line), None, "{line}");
        }
    }

    #[test]
    fn a_directory_that_does_not_answer_is_given_up() {
        let (release, never) = mpsc::channel::<()>();
        let answer = in_directory("trafcalc", Duration::from_millis(1), move |_| {
            let _ = never.recv();
            Ok(None)
        });
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(release);
    }

    #[test]
    fn what_the_directory_says_is_told() {
        let ask = |said: nix::Result<Option<Account>>| in_directory("x", PATIENCE, move |_| said);
        assert_eq!(ask(Ok(None)).unwrap(), None);
        assert_eq!(ask(Err(Errno::ESRCH)).unwrap(), None);
        assert_eq!(ask(Err(Errno::EIO)).unwrap_err().raw_os_error(), Some(libc::EIO));
    }

    #[test]
    fn users_and_groups_of_this_host_are_found_without_the_directory() {
        let root = Account { name: "root".to_owned(), uid: 0.into(), gid: 0.into() };
        assert_eq!(of_this_host("root"), Some(root));
        assert_eq!(name_of(Uid::from_raw(0)), "root");
        assert_eq!(name_of(Uid::from_raw(4_000_000_000)), "4000000000");
        assert_eq!((group("root"), group("nosuchgroup")), (Some(Gid::from_raw(0)), None));
    }
}
