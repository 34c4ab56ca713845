//! The system's directory of users, `nss(5)`. It may be a server: each question may take seconds, so none is asked by the
//! thread that counts.

use nix::errno::Errno;
use nix::unistd::{Uid, User};

/// What the directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// This.
    Known(T),
    /// There is no such user.
    NoSuchUser,
    /// There is no such user, or a part of the directory is not there: `getpwnam(3)` lists this error among those for "not found", and
    /// glibc gives it where a server's socket is missing.
    Unclear(Errno),
    /// It cannot say: a server does not answer, or there are no descriptors left.
    Failed(Errno),
}

/// The name of a user, by `getpwuid_r(3)`.
#[must_use]
pub fn name(uid: u32) -> Answer<String> {
    answer(User::from_uid(Uid::from_raw(uid)), |user| user.name)
}

/// The number of the user who has this name, by `getpwnam_r(3)`.
#[must_use]
pub fn uid(name: &str) -> Answer<u32> {
    answer(User::from_name(name), |user| user.uid.as_raw())
}

fn answer<T>(found: nix::Result<Option<User>>, part: impl FnOnce(User) -> T) -> Answer<T> {
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
    fn an_error_is_not_a_missing_user() {
        for errno in [Errno::EIO, Errno::ETIMEDOUT, Errno::EMFILE, Errno::EINTR, Errno::ENOMEM] {
            assert_eq!(answer(Err(errno), |user| user.uid), Answer::Failed(errno));
        }
        for errno in [Errno::ENOENT, Errno::ESRCH, Errno::EBADF, Errno::EPERM] {
            assert_eq!(answer(Err(errno), |user| user.uid), Answer::Unclear(errno));
        }
        assert_eq!(answer(Ok(None), |user| user.uid), Answer::NoSuchUser);
    }
}
