//! `/v2/members`: who belongs to the cluster, and how that is changed.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};

use super::front::Front;
use super::json;
use super::membership::{Listed, Wanted};
use super::peer_urls::peer_urls;
use super::respond::{self, Answer, X_ETCD_CLUSTER_ID};
use super::said::{Hear as _, Mismatch, Said};
use crate::error::Error;
use crate::raft::Denied;
use crate::types::MemberId;

impl Front {
    /// Answers a request to what follows `/v2/members`.
    pub(super) async fn members(&self, parts: &Parts, path: &[u8], body: Body) -> Answer {
        if let Some(answer) = respond::unless_allowed(&parts.method, "GET,POST,DELETE,PUT") {
            return answer;
        }
        let mut answer = match parts.method {
            Method::GET => self.list_members(path),
            _ if !self.is_root(parts).await => {
                // As in v2, without the header of the cluster.
                return respond::message(StatusCode::UNAUTHORIZED, "Insufficient credentials");
            }
            Method::POST => self.add_member(parts, body).await,
            _ => self.change_member(parts, path, body).await,
        };
        answer.headers_mut().insert(X_ETCD_CLUSTER_ID, self.cluster_id());
        answer
    }

    fn list_members(&self, path: &[u8]) -> Answer {
        let membership = self.membership();
        let mut out = Vec::new();
        match path {
            b"" | b"/" => {
                out.extend_from_slice(b"{\"members\":[");
                for (position, member) in membership.members.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    write(&mut out, member);
                }
                out.extend_from_slice(b"]}\n");
            }
            b"/leader" => {
                let Some(leader) = membership.leader.and_then(|leader| membership.member(leader)) else {
                    return respond::message(StatusCode::SERVICE_UNAVAILABLE, "During election");
                };
                write(&mut out, leader);
                out.push(b'\n');
            }
            _ => return respond::message(StatusCode::NOT_FOUND, "Not found"),
        }
        respond::json(StatusCode::OK, out)
    }

    async fn add_member(&self, parts: &Parts, body: Body) -> Answer {
        let peer_urls = match self.peer_urls(parts, body).await {
            Ok(urls) => urls,
            Err(answer) => return answer,
        };
        let members = self.membership().members;
        if members.iter().any(|member| member.peer_urls.iter().any(|url| peer_urls.contains(url))) {
            return exists();
        }
        match self.change_members(Wanted::Add { peer_urls: peer_urls.clone() }).await {
            Ok(Some(id)) => {
                let added = Listed { id, name: String::new(), peer_urls, client_urls: Vec::new() };
                let mut out = Vec::new();
                write(&mut out, &added);
                out.push(b'\n');
                respond::json(StatusCode::CREATED, out)
            }
            Ok(None) => respond::message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
            Err(error) => refused(&error, MemberId::default()),
        }
    }

    async fn change_member(&self, parts: &Parts, path: &[u8], body: Body) -> Answer {
        let name = path.strip_prefix(b"/").unwrap_or_default();
        if name.is_empty() {
            return respond::method_not_allowed();
        }
        let id = str::from_utf8(name).ok().and_then(|name| u64::from_str_radix(name, 16).ok());
        let Some(id) = id.filter(|_| !name.starts_with(b"+")) else {
            return respond::message(StatusCode::NOT_FOUND, [b"No such member: ", name].concat());
        };
        let member = MemberId::new(id);
        let wanted = if parts.method == Method::PUT {
            match self.peer_urls(parts, body).await {
                Ok(peer_urls) => Wanted::Update { member, peer_urls },
                Err(answer) => return answer,
            }
        } else {
            Wanted::Remove(member)
        };
        if self.membership().member(member).is_none() {
            return no_such(member);
        }
        match self.change_members(wanted).await {
            Ok(_) => no_content(),
            // It is as it is to be.
            Err(Error::Denied { reason: Denied::Pointless }) if parts.method == Method::PUT => no_content(),
            Err(error) => refused(&error, member),
        }
    }

    /// The URLs that a body names, in order.
    async fn peer_urls(&self, parts: &Parts, body: Body) -> Result<Vec<String>, Answer> {
        let content_type = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        check_content_type(content_type)
            .map_err(|why| respond::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))?;
        let bad = |why: String| respond::message(StatusCode::BAD_REQUEST, why);
        let body = self.body(body).await.map_err(bad)?;
        let urls = said_urls(&body).and_then(peer_urls);
        urls.map_err(bad)
    }
}

/// The URLs that a body has, as they are.
///
/// # Errors
///
/// What is wrong with it, in the words of etcd's library.
fn said_urls(body: &[u8]) -> Result<Vec<String>, String> {
    let said = Said::whole(body)?;
    if !matches!(said, Said::Object(_) | Said::Null) {
        let shape = r#"struct { PeerURLs []string "json:\"peerURLs\"" }"#;
        return Err(format!("json: cannot unmarshal {} into Go value of type {shape}", said.kind()));
    }
    let mut urls: Option<Vec<String>> = None;
    let heard = said.each_field(|name, said| if name == "peerurls" { urls.hear(said) } else { Ok(()) });
    heard.map_err(|Mismatch { said, wanted }| {
        format!("json: cannot unmarshal {said} into Go struct field .peerURLs of type {wanted}")
    })?;
    Ok(urls.unwrap_or_default())
}

fn write(out: &mut Vec<u8>, member: &Listed) {
    out.extend_from_slice(format!("{{\"id\":\"{}\",\"name\":", member.id).as_bytes());
    json::string(out, member.name.as_bytes());
    out.extend_from_slice(b",\"peerURLs\":");
    json::strings(out, &member.peer_urls);
    out.extend_from_slice(b",\"clientURLs\":");
    json::strings(out, &member.client_urls);
    out.push(b'}');
}

fn no_content() -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

fn no_such(member: MemberId) -> Answer {
    respond::message(StatusCode::NOT_FOUND, format!("No such member: {member}"))
}

fn exists() -> Answer {
    respond::message(StatusCode::CONFLICT, "membership: peerURL exists")
}

/// Why a change of the members was not made. The statuses are etcd's; where etcd says no more than that there was an
/// error inside, the reason is given.
fn refused(error: &Error, member: MemberId) -> Answer {
    match error {
        Error::Alone => alone(),
        Error::Denied { reason: Denied::NoSuchMember } => no_such(member),
        Error::Denied { reason: Denied::Exists } => exists(),
        error => respond::message(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// What a store that is alone says to who would change that.
fn alone() -> Answer {
    respond::message(
        StatusCode::NOT_IMPLEMENTED,
        "this store is alone: it has no cluster whose members could change",
    )
}

fn check_content_type(content_type: &[u8]) -> Result<(), String> {
    let given = String::from_utf8_lossy(content_type);
    // As in v2: the case counts, unless parameters follow.
    let given = match given.split_once(';') {
        Some((media_type, _)) => media_type.trim().to_ascii_lowercase(),
        None => given.into_owned(),
    };
    if given == "application/json" {
        return Ok(());
    }
    Err(format!("Bad Content-Type {given}, accept application/json"))
}
