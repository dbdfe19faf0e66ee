//! `/v2/auth/enable`.

use axum::http::{Method, StatusCode};

use super::failure::Failure;
use super::record::{GUEST, ROOT, Role};
use super::registry::{Registry, Shelf};
use super::said_back;
use crate::error::Error;
use crate::http::front::Front;
use crate::http::respond::{self, Answer};

impl Front {
    pub(super) async fn auth_switch(&self, method: &Method) -> Result<Answer, Failure> {
        let registry = Registry(self.store());
        let is_on = registry.is_on();
        if *method == Method::GET {
            return Ok(said_back(StatusCode::OK, format!("{{\"enabled\":{is_on}}}").into_bytes()));
        }
        let conflict = |message| Err(Failure::auth(StatusCode::CONFLICT, message));
        if *method == Method::DELETE {
            if !is_on {
                return conflict("already disabled");
            }
            registry.turn(false).await?;
        } else {
            if is_on {
                return conflict("already enabled");
            }
            if registry.user(ROOT.as_bytes()).is_none() {
                return conflict("No root user available, please create one");
            }
            if registry.role(GUEST.as_bytes()).is_none() {
                let guest = Role::of_all_keys(GUEST);
                match registry.add(Shelf::Roles, GUEST.as_bytes(), &guest).await {
                    // Somebody else has just done the same.
                    Ok(()) | Err(Error::KeyExists { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            registry.turn(true).await?;
        }
        Ok(respond::json(StatusCode::OK, ""))
    }
}
