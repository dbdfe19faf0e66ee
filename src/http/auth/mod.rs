//! Who may do what: etcd's v2 auth, off until somebody turns it on.
//!
//! ```text
//!   request ─► access: is auth on? ─► who is it? ──────► credentials: cached, or hashed off the async threads
//!                                  └► may they? ───────► roles: patterns of keys
//!   /v2/auth/… ─► users, roles, switch ─► registry ───► the store, in a directory that no client can reach
//! ```
//! Users and roles are keys like any other, as JSON, so members of a cluster share them and backups have them.
//! Passwords are there as Argon2 hashes alone. Checking one takes tens of milliseconds and a good deal of memory, on
//! purpose; so a check that went well is remembered for as long as the user's record stays as it is, in the form of a
//! keyed hash that is compared in constant time.

mod access;
mod credentials;
mod failure;
mod record;
mod registry;
mod roles;
mod switch;
mod users;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};

pub(super) use credentials::Credentials;

use super::front::Front;
use super::respond::{self, Answer, X_ETCD_CLUSTER_ID};
use super::said::{Hear, Said};
use failure::Failure;

/// What `/v2/auth/…` is about.
enum About<'a> {
    Switch,
    Users,
    User(&'a [u8]),
    Roles,
    Role(&'a [u8]),
}

impl<'a> About<'a> {
    /// What the rest of a path after `/v2/auth` names; `None` when nothing has that name.
    ///
    /// # Errors
    ///
    /// When there is too much of it.
    fn named(path: &'a [u8]) -> Option<Result<Self, Answer>> {
        if path == b"/enable" {
            return Some(Ok(Self::Switch));
        }
        let (one, all): (fn(&'a [u8]) -> Self, Self) =
            if path.starts_with(b"/users") { (Self::User, Self::Users) } else { (Self::Role, Self::Roles) };
        let rest = path.strip_prefix(b"/users").or_else(|| path.strip_prefix(b"/roles"))?;
        let Some(name) = rest.strip_prefix(b"/") else {
            return rest.is_empty().then_some(Ok(all));
        };
        let name = name.strip_suffix(b"/").unwrap_or(name);
        Some(match name {
            b"" => Ok(all),
            name if name.contains(&b'/') => Err(respond::message(StatusCode::BAD_REQUEST, "Invalid path")),
            name => Ok(one(name)),
        })
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::Users | Self::Roles => "GET",
            Self::Switch | Self::User(_) | Self::Role(_) => "GET,PUT,DELETE",
        }
    }
}

impl Front {
    /// Answers a request to what follows `/v2/auth`.
    pub(super) async fn auth(&self, parts: &Parts, path: &[u8], body: Body) -> Answer {
        let about = match About::named(path) {
            None => return respond::not_found(),
            Some(Err(answer)) => return answer,
            Some(Ok(about)) => about,
        };
        if let Some(answer) = respond::unless_allowed(&parts.method, about.methods()) {
            return answer;
        }
        let is_open = matches!(about, About::Switch) && parts.method == Method::GET;
        if !is_open && !self.is_root(parts).await {
            return respond::message(StatusCode::UNAUTHORIZED, "Insufficient credentials");
        }
        let outcome = match about {
            About::Switch => self.auth_switch(&parts.method).await,
            About::Users => self.list_users(),
            About::Roles => self.list_roles(),
            About::User(name) => self.auth_user(&parts.method, name, body).await,
            About::Role(name) => self.auth_role(&parts.method, name, body).await,
        };
        let mut answer = outcome.unwrap_or_else(Failure::answer);
        answer.headers_mut().insert(X_ETCD_CLUSTER_ID, self.cluster_id());
        answer
    }

    /// What a body says in JSON.
    ///
    /// # Errors
    ///
    /// When it says nothing that can be understood.
    async fn said<T: Hear + Default>(&self, body: Body) -> Result<T, Failure> {
        let bad = || Failure::new(StatusCode::BAD_REQUEST, "Invalid JSON in request body.");
        let body = self.body(body).await.map_err(|_| bad())?;
        // As in v2: what follows the first value is not looked at.
        let said = Said::first(&body).map_err(|_| bad())?;
        let mut heard = T::default();
        heard.hear(&said).map_err(|_| bad())?;
        Ok(heard)
    }
}

/// The answer to what went well, in JSON.
fn said_back(status: StatusCode, mut body: Vec<u8>) -> Answer {
    body.push(b'\n');
    respond::json(status, body)
}
