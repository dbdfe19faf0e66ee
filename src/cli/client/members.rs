//! The API of the members.

use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::cluster::Cluster;
use super::deadline::Deadline;
use super::error::ClientError;
use super::request::Request;
use crate::http::peer_urls;

/// A member of the cluster.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Member {
    pub(crate) id: String,
    /// Empty until it has been started once.
    pub(crate) name: String,
    #[serde(rename = "peerURLs", deserialize_with = "or_none")]
    pub(crate) peer_urls: Vec<String>,
    #[serde(rename = "clientURLs", deserialize_with = "or_none")]
    pub(crate) client_urls: Vec<String>,
}

/// A list that may be written as `null`.
pub(super) fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize)]
struct Members {
    #[serde(default, deserialize_with = "or_none")]
    members: Vec<Member>,
}

/// The body of an error of the API of the members.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    message: String,
}

impl Cluster {
    pub(crate) fn members(&self, deadline: Deadline) -> Result<Vec<Member>, ClientError> {
        let reply = self.send(&Request::new("GET", "/v2/members"), deadline)?;
        if reply.status != 200 {
            return Err(ClientError::UnexpectedStatus(reply.status));
        }
        Ok(parse::<Members>(&reply.body)?.members)
    }

    pub(crate) fn leader(&self, deadline: Deadline) -> Result<Member, ClientError> {
        let reply = self.send(&Request::new("GET", "/v2/members/leader"), deadline)?;
        if reply.status != 200 {
            return Err(ClientError::UnexpectedStatus(reply.status));
        }
        parse(&reply.body)
    }

    pub(crate) fn add_member(&self, peer_url: &str, deadline: Deadline) -> Result<Member, ClientError> {
        let request = Request::new("POST", "/v2/members").json(checked(&[peer_url])?);
        let reply = self.send(&request, deadline)?;
        match reply.status {
            201 => parse(&reply.body),
            409 => Err(ClientError::Message(parse::<Message>(&reply.body)?.message)),
            status => Err(ClientError::UnexpectedStatus(status)),
        }
    }

    pub(crate) fn remove_member(&self, id: &str, deadline: Deadline) -> Result<(), ClientError> {
        let reply = self.send(&Request::new("DELETE", format!("/v2/members/{id}")), deadline)?;
        match reply.status {
            204 | 410 => Ok(()),
            status => Err(ClientError::UnexpectedStatus(status)),
        }
    }

    pub(crate) fn update_member(
        &self,
        id: &str,
        peer_urls: &[&str],
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        let request = Request::new("PUT", format!("/v2/members/{id}")).json(checked(peer_urls)?);
        let reply = self.send(&request, deadline)?;
        match reply.status {
            204 => Ok(()),
            404 | 409 => Err(ClientError::Message(parse::<Message>(&reply.body)?.message)),
            status => Err(ClientError::UnexpectedStatus(status)),
        }
    }
}

/// A body with these URLs, which are looked at before a server is asked.
fn checked(urls: &[&str]) -> Result<String, ClientError> {
    let urls = peer_urls(urls).map_err(ClientError::Message)?;
    Ok(json!({ "peerURLs": urls }).to_string())
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Message(error.to_string()))
}
