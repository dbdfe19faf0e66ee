//! Users and roles as they are said and kept.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::http::json;
use crate::http::said::{Hear, Mismatch, Said};

/// The role that may do everything, and the user who has it.
pub(super) const ROOT: &str = "root";

/// The role of those who say no name.
pub(super) const GUEST: &str = "guest";

/// Names. As in v2, a list that was never given is told apart from an empty one.
pub(super) type Names = Option<Vec<String>>;

/// A user, as said by a client or as kept: then the password is a hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) password: String,
    pub(super) roles: Names,
    #[serde(skip_serializing)]
    pub(super) grant: Names,
    #[serde(skip_serializing)]
    pub(super) revoke: Names,
}

/// A role, as said by a client or as kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) role: String,
    pub(super) permissions: Permissions,
    /// As in v2, what was said of these without naming a key is kept until the role is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grant: Option<Permissions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revoke: Option<Permissions>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Permissions {
    pub(super) kv: Patterns,
}

/// The keys that may be read and written. A pattern that ends in `*` is about all keys that begin with what stands
/// before it, any other about one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Patterns {
    pub(super) read: Names,
    pub(super) write: Names,
}

impl User {
    /// Gives the role of root, if it is not there.
    pub(super) fn attach_root(&mut self) {
        if !names(&self.roles).iter().any(|role| role == ROOT) {
            self.roles.get_or_insert_default().push(ROOT.to_owned());
        }
    }

    /// This user with what `said` changes. `hash` is of the new password, if there is one.
    pub(super) fn merged(&self, said: &Self, hash: Option<String>) -> Result<Self, Failure> {
        let name = &self.user;
        let mut roles: BTreeSet<String> = names(&self.roles).iter().cloned().collect();
        for role in names(&said.grant) {
            if !roles.insert(role.clone()) {
                let message = format!("Granting duplicate role {role} for user {name}");
                return Err(Failure::auth(StatusCode::CONFLICT, message));
            }
        }
        for role in names(&said.revoke) {
            if !roles.remove(role) {
                let message = format!("Revoking ungranted role {role} for user {name}");
                return Err(Failure::auth(StatusCode::CONFLICT, message));
            }
        }
        let password = hash.unwrap_or_else(|| self.password.clone());
        let roles = Some(roles.into_iter().collect());
        Ok(Self { user: name.clone(), password, roles, grant: None, revoke: None })
    }

    pub(super) fn is_update(&self) -> bool {
        !names(&self.grant).is_empty() || !names(&self.revoke).is_empty()
    }

    /// The answer to who made or changed it: without the password.
    pub(super) fn shown(&self) -> Vec<u8> {
        let mut out = b"{\"user\":".to_vec();
        json::string(&mut out, self.user.as_bytes());
        out.extend_from_slice(b",\"roles\":");
        show_names(&mut out, &self.roles);
        out.push(b'}');
        out
    }

    /// The user with what its roles may do; those that are not there are left out by who asks.
    pub(super) fn shown_with(&self, roles: &[Role]) -> Vec<u8> {
        let mut out = b"{\"user\":".to_vec();
        json::string(&mut out, self.user.as_bytes());
        if !roles.is_empty() {
            out.extend_from_slice(b",\"roles\":[");
            out.extend_from_slice(&roles.iter().map(Role::shown).collect::<Vec<_>>().join(&b','));
            out.push(b']');
        }
        out.push(b'}');
        out
    }
}

impl Role {
    /// A role that may read and write every key.
    pub(super) fn of_all_keys(name: &str) -> Self {
        let all = || Some(vec!["/*".to_owned()]);
        let permissions = Permissions { kv: Patterns { read: all(), write: all() } };
        Self { role: name.to_owned(), permissions, ..Self::default() }
    }

    /// This role with what `said` changes.
    pub(super) fn merged(&self, said: &Self) -> Result<Self, Failure> {
        let mut kv = self.permissions.kv.clone();
        if let Some(grant) = &said.grant {
            kv.read = granted(&kv.read, &grant.kv.read, "read")?;
            kv.write = granted(&kv.write, &grant.kv.write, "write")?;
        }
        if let Some(revoke) = &said.revoke {
            kv.read = revoked(&kv.read, &revoke.kv.read);
            kv.write = revoked(&kv.write, &revoke.kv.write);
        }
        Ok(Self { role: self.role.clone(), permissions: Permissions { kv }, ..Self::default() })
    }

    pub(super) fn is_update(&self) -> bool {
        let says_something = |said: &Option<Permissions>| said.as_ref().is_some_and(Permissions::is_some);
        says_something(&self.grant) || says_something(&self.revoke)
    }

    /// Whether the role lets somebody at the key at `path`: to write, or to read; all below it, or just that.
    pub(super) fn lets(&self, path: &[u8], write: bool, recursive: bool) -> bool {
        let Patterns { read, write: written } = &self.permissions.kv;
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix.as_bytes()),
            None => !recursive && path == pattern.as_bytes(),
        };
        self.role == ROOT || names(if write { written } else { read }).iter().any(matches)
    }

    pub(super) fn shown(&self) -> Vec<u8> {
        let mut out = b"{\"role\":".to_vec();
        json::string(&mut out, self.role.as_bytes());
        for (field, permissions) in [
            ("permissions", Some(&self.permissions)),
            ("grant", self.grant.as_ref()),
            ("revoke", self.revoke.as_ref()),
        ] {
            let Some(Permissions { kv: Patterns { read, write } }) = permissions else { continue };
            out.extend_from_slice(format!(",\"{field}\":{{\"kv\":{{\"read\":").as_bytes());
            show_names(&mut out, read);
            out.extend_from_slice(b",\"write\":");
            show_names(&mut out, write);
            out.extend_from_slice(b"}}");
        }
        out.push(b'}');
        out
    }
}

impl Permissions {
    /// Whether it names any key at all.
    pub(super) fn is_some(&self) -> bool {
        !names(&self.kv.read).is_empty() || !names(&self.kv.write).is_empty()
    }
}

impl Hear for User {
    fn hear(&mut self, said: &Said) -> Result<(), Mismatch> {
        said.each_field(|name, said| match name {
            "user" => self.user.hear(said),
            "password" => self.password.hear(said),
            "roles" => self.roles.hear(said),
            "grant" => self.grant.hear(said),
            "revoke" => self.revoke.hear(said),
            _ => Ok(()),
        })
    }
}

impl Hear for Role {
    fn hear(&mut self, said: &Said) -> Result<(), Mismatch> {
        said.each_field(|name, said| match name {
            "role" => self.role.hear(said),
            "permissions" => self.permissions.hear(said),
            "grant" => self.grant.hear(said),
            "revoke" => self.revoke.hear(said),
            _ => Ok(()),
        })
    }
}

impl Hear for Permissions {
    fn hear(&mut self, said: &Said) -> Result<(), Mismatch> {
        said.each_field(|name, said| if name == "kv" { self.kv.hear(said) } else { Ok(()) })
    }
}

impl Hear for Option<Permissions> {
    fn hear(&mut self, said: &Said) -> Result<(), Mismatch> {
        if *said == Said::Null {
            *self = None;
            return Ok(());
        }
        self.get_or_insert_default().hear(said)
    }
}

impl Hear for Patterns {
    fn hear(&mut self, said: &Said) -> Result<(), Mismatch> {
        said.each_field(|name, said| match name {
            "read" => self.read.hear(said),
            "write" => self.write.hear(said),
            _ => Ok(()),
        })
    }
}

pub(super) fn names(names: &Names) -> &[String] {
    names.as_deref().unwrap_or_default()
}

fn granted(present: &Names, grant: &Names, kind: &str) -> Result<Names, Failure> {
    let mut all: BTreeSet<&String> = names(present).iter().collect();
    for pattern in names(grant) {
        if !all.insert(pattern) {
            let message = format!("Granting duplicate {kind} permission {pattern}");
            return Err(Failure::auth(StatusCode::CONFLICT, message));
        }
    }
    Ok(Some(all.into_iter().cloned().collect()))
}

/// Revoking what is not there is no error.
fn revoked(present: &Names, revoke: &Names) -> Names {
    let mut all: BTreeSet<&String> = names(present).iter().collect();
    all.retain(|pattern| !names(revoke).contains(pattern));
    Some(all.into_iter().cloned().collect())
}

fn show_names(out: &mut Vec<u8>, names: &Names) {
    match names {
        None => out.extend_from_slice(b"null"),
        Some(names) => json::strings(out, names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(read: &[&str]) -> Role {
        let read = Some(read.iter().map(|&pattern| pattern.to_owned()).collect());
        let permissions = Permissions { kv: Patterns { read, write: None } };
        Role { role: "r".to_owned(), permissions, ..Role::default() }
    }

    #[test]
    fn patterns_are_prefixes_only_where_they_say_so() {
        let role = role(&["/foo/*", "/exact"]);
        for (path, recursive, expected) in [
            (&b"/foo/"[..], false, true),
            (b"/foo/a/b", false, true),
            (b"/foo", false, false),
            (b"/exact", false, true),
            (b"/exact", true, false),
            (b"/exact/below", false, false),
            (b"/foo/a", true, true),
        ] {
            assert_eq!(role.lets(path, false, recursive), expected, "{path:?} {recursive}");
        }
        assert!(!role.lets(b"/foo/a", true, false), "nothing may be written");
        assert!(Role::of_all_keys(ROOT).lets(b"", true, true), "root may do everything");
        assert!(!Role::of_all_keys(GUEST).lets(b"", false, false));
    }

    #[test]
    fn a_list_that_was_never_given_is_not_an_empty_one() {
        let user = User { user: "u".to_owned(), ..User::default() };
        assert_eq!(user.shown(), br#"{"user":"u","roles":null}"#);
        let Ok(updated) = user.merged(&User::default(), None) else { panic!() };
        assert_eq!(updated.shown(), br#"{"user":"u","roles":[]}"#);
        assert_ne!(user, updated);
    }
}
