//! Whether whoever asks may.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::record::{GUEST, ROOT, User, names};
use super::registry::{Kept, Registry};
use crate::http::front::Front;

/// Who somebody says to be.
enum Claim {
    /// Nobody in particular.
    Guest,
    /// A name and a password.
    User(Vec<u8>, Vec<u8>),
    /// Something that cannot be understood.
    Malformed,
}

impl Front {
    /// Whether whoever asks may do this to the key at `path`, as it was written after `/v2/keys`.
    pub(in crate::http) async fn may_access(&self, parts: &Parts, path: &[u8], recursive: bool) -> bool {
        let registry = Registry(self.store());
        if !registry.is_on() {
            return true;
        }
        let write = parts.method != Method::GET && parts.method != Method::HEAD;
        match claim(&parts.headers) {
            Claim::Malformed => false,
            // As in v2: what a guest asks for recursively is looked at like a plain request.
            Claim::Guest => {
                registry.role(GUEST.as_bytes()).is_some_and(|role| role.record.lets(path, write, false))
            }
            Claim::User(name, password) => {
                let Some(user) = self.authenticated(&name, &password).await else { return false };
                let mut roles = names(&user.roles).iter().filter_map(|role| registry.role(role.as_bytes()));
                roles.any(|role| role.record.lets(path, write, recursive))
            }
        }
    }

    /// Whether whoever asks may do everything.
    pub(in crate::http) async fn is_root(&self, parts: &Parts) -> bool {
        if !Registry(self.store()).is_on() {
            return true;
        }
        let Claim::User(name, password) = claim(&parts.headers) else { return false };
        let user = self.authenticated(&name, &password).await;
        user.is_some_and(|user| names(&user.roles).iter().any(|role| role == ROOT))
    }

    /// The user of this name, if the password is right.
    async fn authenticated(&self, name: &[u8], password: &[u8]) -> Option<User> {
        let Kept { record, modified } = Registry(self.store()).user(name)?;
        let is_right = self.credentials().check(&record.user, modified, &record.password, password).await;
        is_right.then_some(record)
    }
}

fn claim(headers: &HeaderMap) -> Claim {
    match headers.get(AUTHORIZATION).map(|value| value.as_bytes()) {
        None | Some(b"") => Claim::Guest,
        Some(value) => basic(value).unwrap_or(Claim::Malformed),
    }
}

/// What `Basic …` says.
fn basic(value: &[u8]) -> Option<Claim> {
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    Some(Claim::User(decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}
