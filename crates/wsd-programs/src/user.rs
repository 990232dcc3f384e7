//! Users of this machine, to run programs as.

/// A user and its own group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name in the user database.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl User {
    /// The user of that name, if this machine has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        users.lines().find_map(|line| Self::of_line(line).filter(|user| user.name == name))
    }

    /// The user of that name when this process may become it: another user than root needs root.
    #[must_use]
    pub fn reachable(name: &str) -> Option<Self> {
        if is_root() { Self::named(name) } else { None }
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name, uid, gid })
    }
}

/// Whether this process may become another user.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_user_database() {
        let line = "www-data:x:33:34:www-data:/var/www:/usr/sbin/nologin";
        assert_eq!(User::of_line(line), Some(User { name: "www-data".into(), uid: 33, gid: 34 }));
        assert_eq!(User::named("root").expect("every machine has it").uid, 0);
    }
}
