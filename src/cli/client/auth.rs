//! The API of users, roles, and whether they count.

use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::deadline::Deadline;
use super::error::ClientError;
use super::members::or_none;
use super::request::{Reply, Request};

/// A user, as it is sent.
#[derive(Default, Serialize)]
struct UserChange<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    password: &'a str,
    /// Never given: whoever changes roles grants and revokes.
    roles: Option<()>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    grant: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    revoke: &'a [String],
}

/// A role, as it is sent.
#[derive(Default, Serialize)]
struct RoleChange<'a> {
    role: &'a str,
    permissions: Permissions,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Permissions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoke: Option<Permissions>,
}

/// A role, as it is told.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct Role {
    pub(crate) role: String,
    pub(crate) permissions: Permissions,
}

/// What a role allows.
#[derive(Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct Permissions {
    pub(crate) kv: KeyPatterns,
}

/// Patterns of keys, to read and to write.
#[derive(Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct KeyPatterns {
    pub(crate) read: Option<Vec<String>>,
    pub(crate) write: Option<Vec<String>>,
}

/// What is granted or revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    ReadWrite,
}

impl Access {
    fn permissions(self, path: &str) -> Permissions {
        let patterns = |wanted: bool| wanted.then(|| vec![path.to_owned()]);
        let (read, write) = (patterns(self != Self::Write), patterns(self != Self::Read));
        Permissions { kv: KeyPatterns { read, write } }
    }
}

/// One of the answers about users: a role comes by its name, or whole.
#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    user: String,
    #[serde(deserialize_with = "or_none")]
    roles: Vec<RoleOrName>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RoleOrName {
    Name(String),
    Role(Role),
}

#[derive(Deserialize)]
struct Users {
    #[serde(default, deserialize_with = "or_none")]
    users: Vec<User>,
}

#[derive(Deserialize)]
struct Roles {
    #[serde(default, deserialize_with = "or_none")]
    roles: Vec<Role>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    message: String,
}

impl Cluster {
    pub(crate) fn enable_auth(&self, enable: bool, deadline: Deadline) -> Result<(), ClientError> {
        let method = if enable { "PUT" } else { "DELETE" };
        let reply = self.send(&Request::new(method, "/v2/auth/enable"), deadline)?;
        done(&reply, &[200, 201])
    }

    pub(crate) fn users(&self, deadline: Deadline) -> Result<Vec<String>, ClientError> {
        let reply = self.send(&Request::new("GET", "/v2/auth/users"), deadline)?;
        done(&reply, &[200])?;
        Ok(parse::<Users>(&reply.body)?.users.into_iter().map(|user| user.user).collect())
    }

    /// The name of a user and the user's roles, as etcdctl shows them.
    ///
    /// # Errors
    ///
    /// [`ClientError::Message`] with what the server says, such as that there is no such user.
    pub(crate) fn user(&self, name: &str, deadline: Deadline) -> Result<(String, String), ClientError> {
        let reply = self.send(&Request::new("GET", format!("/v2/auth/users/{name}")), deadline)?;
        done(&reply, &[200])?;
        let user: User = parse(&reply.body)?;
        // etcdctl reads the list twice, for names and for whole roles: each whole one leaves a blank before all names.
        let (mut blanks, mut names) = (String::new(), Vec::new());
        for role in user.roles {
            names.push(match role {
                RoleOrName::Name(name) => name,
                RoleOrName::Role(role) => {
                    blanks.push(' ');
                    role.role
                }
            });
        }
        Ok((user.user, blanks + &names.join(" ")))
    }

    pub(crate) fn add_user(&self, user: &str, password: &str, deadline: Deadline) -> Result<(), ClientError> {
        let change = UserChange { user, password, ..UserChange::default() };
        done(&self.change_user(&change, deadline)?, &[200, 201])
    }

    pub(crate) fn remove_user(&self, user: &str, deadline: Deadline) -> Result<(), ClientError> {
        let reply = self.send(&Request::new("DELETE", format!("/v2/auth/users/{user}")), deadline)?;
        done(&reply, &[200, 201])
    }

    pub(crate) fn change_password(
        &self,
        user: &str,
        password: &str,
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        let change = UserChange { user, password, ..UserChange::default() };
        done(&self.change_user(&change, deadline)?, &[200])
    }

    /// Grants or revokes roles.
    pub(crate) fn grant_user(
        &self,
        user: &str,
        roles: &[String],
        grant: bool,
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        let (grant, revoke): (&[String], &[String]) = if grant { (roles, &[]) } else { (&[], roles) };
        let change = UserChange { user, grant, revoke, ..UserChange::default() };
        done(&self.change_user(&change, deadline)?, &[200])
    }

    fn change_user(&self, change: &UserChange<'_>, deadline: Deadline) -> Result<Reply, ClientError> {
        let request = Request::new("PUT", format!("/v2/auth/users/{}", change.user)).json(json(change));
        self.send(&request, deadline)
    }

    pub(crate) fn roles(&self, deadline: Deadline) -> Result<Vec<String>, ClientError> {
        let reply = self.send(&Request::new("GET", "/v2/auth/roles"), deadline)?;
        match reply.status {
            200 => Ok(parse::<Roles>(&reply.body)?.roles.into_iter().map(|role| role.role).collect()),
            status => Err(ClientError::UnexpectedStatus(status)),
        }
    }

    pub(crate) fn role(&self, name: &str, deadline: Deadline) -> Result<Role, ClientError> {
        let reply = self.send(&Request::new("GET", format!("/v2/auth/roles/{name}")), deadline)?;
        done(&reply, &[200])?;
        parse(&reply.body)
    }

    pub(crate) fn add_role(&self, role: &str, deadline: Deadline) -> Result<(), ClientError> {
        let change = RoleChange { role, ..RoleChange::default() };
        done(&self.change_role(&change, deadline)?, &[200, 201])
    }

    pub(crate) fn remove_role(&self, role: &str, deadline: Deadline) -> Result<(), ClientError> {
        let reply = self.send(&Request::new("DELETE", format!("/v2/auth/roles/{role}")), deadline)?;
        done(&reply, &[200, 201])
    }

    /// Grants or revokes access to the keys that match `path`.
    pub(crate) fn grant_role(
        &self,
        role: &str,
        path: &str,
        access: Access,
        grant: bool,
        deadline: Deadline,
    ) -> Result<Role, ClientError> {
        let permissions = Some(access.permissions(path));
        let (grant, revoke) = if grant { (permissions, None) } else { (None, permissions) };
        let reply =
            self.change_role(&RoleChange { role, grant, revoke, ..RoleChange::default() }, deadline)?;
        done(&reply, &[200])?;
        parse(&reply.body)
    }

    fn change_role(&self, change: &RoleChange<'_>, deadline: Deadline) -> Result<Reply, ClientError> {
        let request = Request::new("PUT", format!("/v2/auth/roles/{}", change.role)).json(json(change));
        self.send(&request, deadline)
    }
}

fn json(change: &impl Serialize) -> String {
    serde_json::to_string(change).expect("names and lists of names can be written as JSON")
}

/// Good with one of the `wanted` statuses; else an error with what the body says.
fn done(reply: &Reply, wanted: &[u16]) -> Result<(), ClientError> {
    if wanted.contains(&reply.status) {
        return Ok(());
    }
    Err(match parse::<Message>(&reply.body) {
        Ok(Message { message }) => ClientError::Message(message),
        Err(error) => error,
    })
}

/// What JSON this is; where it is none, its first character is named as etcdctl does.
fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| {
        ClientError::Message(match String::from_utf8_lossy(body).chars().next() {
            Some(first) if error.is_syntax() && error.column() <= 1 => {
                format!("invalid character '{first}' looking for beginning of value")
            }
            None => "unexpected end of JSON input".to_owned(),
            Some(_) => error.to_string(),
        })
    })
}
