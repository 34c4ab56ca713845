//! The system's directory of users, `nss(5)`. It may be a server, and each question may take seconds, so the counting
//! thread asks none.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// An answer of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The user or group exists.
    Known(T),
    /// There is no such user.
    NoSuchUser,
    /// There is no such user, or a part of the directory is missing: `getpwnam(3)` lists these errors among those for
    /// "not found", and glibc returns them if a server's socket is missing.
    Unclear(Errno),
    /// The lookup failed: a server does not answer, or there are no descriptors left.
    Failed(Errno),
}

impl<T> Answer<T> {
    /// Applies `part` to a known answer.
    pub fn map<O>(self, part: impl FnOnce(T) -> O) -> Answer<O> {
        match self {
            Self::Known(known) => Answer::Known(part(known)),
            Self::NoSuchUser => Answer::NoSuchUser,
            Self::Unclear(errno) => Answer::Unclear(errno),
            Self::Failed(errno) => Answer::Failed(errno),
        }
    }
}

/// The name of a user, by `getpwuid_r(3)`.
#[must_use]
pub fn name(uid: u32) -> Answer<String> {
    answer(User::from_uid(Uid::from_raw(uid)), |user| user.name)
}

/// The uid of the user with this name, by `getpwnam_r(3)`.
#[must_use]
pub fn uid(name: &str) -> Answer<u32> {
    answer(User::from_name(name), |user| user.uid.as_raw())
}

/// The gid of the group with this name, by `getgrnam_r(3)`.
#[must_use]
pub fn gid(group: &str) -> Answer<u32> {
    answer(Group::from_name(group), |group| group.gid.as_raw())
}

/// The gids of a user's groups, the primary one first, by `getpwnam_r(3)` and `getgrouplist(3)`. The latter does not
/// report that a server did not answer.
#[must_use]
pub fn groups(user: &str) -> Answer<Vec<u32>> {
    let own = match answer(User::from_name(user), |user| user.gid) {
        Answer::Known(own) => own,
        Answer::NoSuchUser => return Answer::NoSuchUser,
        Answer::Unclear(errno) => return Answer::Unclear(errno),
        Answer::Failed(errno) => return Answer::Failed(errno),
    };
    let Ok(name) = CString::new(user) else { return Answer::NoSuchUser };
    match getgrouplist(&name, own) {
        Ok(groups) => Answer::Known(groups.into_iter().map(Gid::as_raw).collect()),
        Err(errno) => Answer::Failed(errno),
    }
}

fn answer<O, T>(found: nix::Result<Option<O>>, part: impl FnOnce(O) -> T) -> Answer<T> {
    match found {
        Ok(Some(user)) => Answer::Known(part(user)),
        Ok(None) => Answer::NoSuchUser,
        Err(errno @ (Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM)) => Answer::Unclear(errno),
        Err(errno) => Answer::Failed(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_number_and_an_unknown_uid_is_not() {
        assert_eq!(name(0), Answer::Known("root".to_owned()));
        assert_eq!(uid("root"), Answer::Known(0));
        assert_eq!(name(3_999_999_999), Answer::NoSuchUser);
    }

    #[test]
    fn root_is_in_his_own_group() {
        assert_eq!(gid("root"), Answer::Known(0));
        assert!(matches!(groups("root"), Answer::Known(groups) if groups.contains(&0)));
        assert_eq!(groups("no such user"), Answer::NoSuchUser);
        assert_eq!(gid("no such group"), Answer::NoSuchUser);
    }

    #[test]
    fn an_error_is_not_a_missing_user() {
        for errno in [Errno::EIO, Errno::ETIMEDOUT, Errno::EMFILE, Errno::EINTR, Errno::ENOMEM] {
            assert_eq!(answer(Err(errno), |user: User| user.uid), Answer::Failed(errno));
        }
        for errno in [Errno::ENOENT, Errno::ESRCH, Errno::EBADF, Errno::EPERM] {
            assert_eq!(answer(Err(errno), |user: User| user.uid), Answer::Unclear(errno));
        }
        assert_eq!(answer(Ok(None), |user: User| user.uid), Answer::NoSuchUser);
    }
}
