//! `/v2/auth/roles`.

use axum::body::Body;
use axum::http::{Method, StatusCode};

use super::failure::Failure;
use super::record::{ROOT, Role};
use super::registry::{Kept, Registry, Shelf, contended, is_stale};
use super::said_back;
use crate::error::Error;
use crate::http::front::Front;
use crate::http::respond::{self, Answer};

/// How often a change is tried again that somebody else was faster than.
const TRIES_MAX: usize = 10;

impl Front {
    /// All roles in the order of their names; that of root is always there.
    pub(super) fn list_roles(&self) -> Result<Answer, Failure> {
        let registry = Registry(self.store());
        let mut names = registry.names(Shelf::Roles);
        names.push(ROOT.as_bytes().to_vec());
        names.sort_unstable();
        let roles = names.iter().filter_map(|name| registry.role(name)).map(|kept| kept.record.shown());
        let roles: Vec<Vec<u8>> = roles.collect();
        let list = [b"{\"roles\":[", &*roles.join(&b','), b"]}"].concat();
        Ok(said_back(StatusCode::OK, list))
    }

    pub(super) async fn auth_role(
        &self,
        method: &Method,
        name: &[u8],
        body: Body,
    ) -> Result<Answer, Failure> {
        match *method {
            Method::GET => {
                let kept = Registry(self.store()).role(name).ok_or_else(|| no_role(name))?;
                Ok(said_back(StatusCode::OK, kept.record.shown()))
            }
            Method::PUT => {
                let said: Role = self.said(body).await?;
                self.put_role(name, said).await
            }
            _ => self.delete_role(name).await,
        }
    }

    async fn put_role(&self, name: &[u8], said: Role) -> Result<Answer, Failure> {
        if said.role.as_bytes() != name {
            let message = "Role JSON name does not match the name in the URL";
            return Err(Failure::new(StatusCode::BAD_REQUEST, message));
        }
        if !said.is_update() {
            check_not_root(name)?;
            return match Registry(self.store()).add(Shelf::Roles, name, &said).await {
                Ok(()) => Ok(said_back(StatusCode::CREATED, said.shown())),
                Err(Error::KeyExists { .. }) => {
                    let message = format!("Role {} already exists.", said.role);
                    Err(Failure::auth(StatusCode::CONFLICT, message))
                }
                Err(error) => Err(error.into()),
            };
        }
        if said.permissions.is_some() {
            let message = "Role JSON contains both permissions and grant/revoke";
            return Err(Failure::new(StatusCode::BAD_REQUEST, message));
        }
        check_not_root(name)?;
        let role = self.update_role(name, &said).await?;
        Ok(said_back(StatusCode::OK, role.shown()))
    }

    async fn update_role(&self, name: &[u8], said: &Role) -> Result<Role, Failure> {
        let registry = Registry(self.store());
        for _ in 0..TRIES_MAX {
            let Kept { record, modified } = registry.role(name).ok_or_else(|| no_role(name))?;
            let merged = record.merged(said)?;
            if merged == record {
                let message = "Role not updated. Use grant/revoke to update the role.";
                return Err(Failure::auth(StatusCode::BAD_REQUEST, message));
            }
            match registry.replace(Shelf::Roles, name, modified, &merged).await {
                Ok(()) => return Ok(merged),
                Err(error) if is_stale(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(contended())
    }

    async fn delete_role(&self, name: &[u8]) -> Result<Answer, Failure> {
        check_not_root(name)?;
        match Registry(self.store()).remove(Shelf::Roles, name).await {
            Ok(()) => Ok(respond::json(StatusCode::OK, "")),
            Err(Error::KeyNotFound { .. }) => {
                Err(Failure::auth(StatusCode::NOT_FOUND, [b"Role ", name, b" doesn't exist."].concat()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The role of root is as it is.
fn check_not_root(name: &[u8]) -> Result<(), Failure> {
    if name == ROOT.as_bytes() {
        let message = "Cannot modify role root: is root role.";
        return Err(Failure::auth(StatusCode::FORBIDDEN, message));
    }
    Ok(())
}

fn no_role(name: &[u8]) -> Failure {
    Failure::auth(StatusCode::NOT_FOUND, [b"Role ", name, b" does not exist."].concat())
}
