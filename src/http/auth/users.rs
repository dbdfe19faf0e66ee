//! `/v2/auth/users`.

use axum::body::Body;
use axum::http::{Method, StatusCode};

use super::failure::Failure;
use super::record::{ROOT, User, names};
use super::registry::{Kept, Registry, Shelf, contended, is_stale};
use super::said_back;
use crate::error::Error;
use crate::http::front::Front;
use crate::http::respond::{self, Answer};

/// How often a change is tried again that somebody else was faster than.
const TRIES_MAX: usize = 10;

impl Front {
    pub(super) fn list_users(&self) -> Result<Answer, Failure> {
        let registry = Registry(self.store());
        let users: Vec<Vec<u8>> = registry
            .names(Shelf::Users)
            .iter()
            .filter_map(|name| registry.user(name))
            .map(|Kept { record, .. }| {
                // Roles that are not there are passed over.
                let roles = names(&record.roles).iter().filter_map(|role| registry.role(role.as_bytes()));
                record.shown_with(&roles.map(|role| role.record).collect::<Vec<_>>())
            })
            .collect();
        let list = match users.is_empty() {
            true => b"null".to_vec(),
            false => [b"[", &*users.join(&b','), b"]"].concat(),
        };
        Ok(said_back(StatusCode::OK, [b"{\"users\":", &*list, b"}"].concat()))
    }

    pub(super) async fn auth_user(
        &self,
        method: &Method,
        name: &[u8],
        body: Body,
    ) -> Result<Answer, Failure> {
        match *method {
            Method::GET => self.show_user(name),
            Method::PUT => {
                let said: User = self.said(body).await?;
                self.put_user(name, said).await
            }
            _ => self.delete_user(name).await,
        }
    }

    fn show_user(&self, name: &[u8]) -> Result<Answer, Failure> {
        let registry = Registry(self.store());
        let user = registry.user(name).ok_or_else(|| no_user(name))?.record;
        let mut roles = Vec::new();
        for role in names(&user.roles) {
            let missing = || Failure::auth(StatusCode::NOT_FOUND, format!("Role {role} does not exist."));
            roles.push(registry.role(role.as_bytes()).ok_or_else(missing)?.record);
        }
        Ok(said_back(StatusCode::OK, user.shown_with(&roles)))
    }

    async fn put_user(&self, name: &[u8], said: User) -> Result<Answer, Failure> {
        if said.user.as_bytes() != name {
            let message = "User JSON name does not match the name in the URL";
            return Err(Failure::new(StatusCode::BAD_REQUEST, message));
        }
        let has_roles = !names(&said.roles).is_empty();
        let (user, status) = match (said.is_update(), has_roles) {
            (true, true) => {
                let message = "User JSON contains both roles and grant/revoke";
                return Err(Failure::new(StatusCode::BAD_REQUEST, message));
            }
            (true, false) => (self.update_user(said).await?, StatusCode::OK),
            // As in v2: who is made with roles is answered like who was there before.
            (false, true) => (self.create_user(said).await?, StatusCode::OK),
            (false, false) if Registry(self.store()).user(name).is_some() => {
                (self.update_user(said).await?, StatusCode::OK)
            }
            (false, false) => (self.create_user(said).await?, StatusCode::CREATED),
        };
        Ok(said_back(status, user.shown()))
    }

    async fn create_user(&self, mut said: User) -> Result<User, Failure> {
        if said.user == ROOT {
            said.attach_root();
        }
        let name = said.user.clone();
        if said.password.is_empty() {
            let message = format!("Cannot create user {name} with an empty password");
            return Err(Failure::auth(StatusCode::BAD_REQUEST, message));
        }
        said.password = self.credentials().hash(said.password).await;
        match Registry(self.store()).add(Shelf::Users, name.as_bytes(), &said).await {
            Ok(()) => Ok(said),
            Err(Error::KeyExists { .. }) => {
                let message = format!("User {name} already exists.");
                Err(Failure::auth(StatusCode::CONFLICT, message))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn update_user(&self, said: User) -> Result<User, Failure> {
        let registry = Registry(self.store());
        let name = said.user.as_bytes();
        let mut hash = None;
        for _ in 0..TRIES_MAX {
            let Kept { record, modified } = registry.user(name).ok_or_else(|| no_user(name))?;
            if hash.is_none() && !said.password.is_empty() {
                hash = Some(self.credentials().hash(said.password.clone()).await);
            }
            let merged = record.merged(&said, hash.clone())?;
            if merged == record {
                let message = "User not updated. Use grant/revoke/password to update the user.";
                return Err(Failure::auth(StatusCode::BAD_REQUEST, message));
            }
            match registry.replace(Shelf::Users, name, modified, &merged).await {
                Ok(()) => return Ok(merged),
                Err(error) if is_stale(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(contended())
    }

    async fn delete_user(&self, name: &[u8]) -> Result<Answer, Failure> {
        let registry = Registry(self.store());
        if name == ROOT.as_bytes() && registry.is_on() {
            let message = "Cannot delete root user while auth is enabled.";
            return Err(Failure::auth(StatusCode::FORBIDDEN, message));
        }
        match registry.remove(Shelf::Users, name).await {
            Ok(()) => Ok(respond::json(StatusCode::OK, "")),
            Err(Error::KeyNotFound { .. }) => {
                Err(Failure::auth(StatusCode::NOT_FOUND, [b"User ", name, b" does not exist"].concat()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn no_user(name: &[u8]) -> Failure {
    Failure::auth(StatusCode::NOT_FOUND, [b"User ", name, b" does not exist."].concat())
}
