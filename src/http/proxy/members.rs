//! Which members there are, and which of them are worth asking.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ProxySettings;
use super::trust::Trust;
use super::upstream::Upstream;

/// How long to wait for the next try, as long as no member has said who the members are.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// What a list of members may take at most.
const LIST_BYTES_MAX: usize = 1 << 20;

/// The members, as far as they are known.
pub(super) struct Members {
    /// In the order in which they are asked.
    upstreams: Mutex<Vec<Arc<Upstream>>>,
    /// Somebody should be asked who the members are, sooner than planned.
    hurry: Notify,
    refresh_interval: Duration,
    failure_wait: Duration,
    dial_timeout: Duration,
    trust: Option<Trust>,
    log: fn(&str),
}

impl Members {
    pub(super) fn new(settings: &ProxySettings, log: fn(&str)) -> Self {
        let &ProxySettings { refresh_interval, failure_wait, dial_timeout, .. } = settings;
        let (upstreams, hurry, trust) = (Mutex::default(), Notify::new(), settings.trust.clone());
        let members = Self { upstreams, hurry, refresh_interval, failure_wait, dial_timeout, trust, log };
        *members.upstreams.lock() = settings.endpoints.iter().map(|url| members.upstream(url)).collect();
        members
    }

    fn upstream(&self, url: &str) -> Arc<Upstream> {
        Arc::new(Upstream::new(url, self.dial_timeout, self.trust.clone()))
    }

    /// How many there are, as far as is known, and how many of them have failed lately.
    pub(super) fn counts(&self) -> (usize, usize) {
        let upstreams = self.upstreams.lock();
        (upstreams.len(), upstreams.iter().filter(|member| member.is_left_alone()).count())
    }

    /// Those who have not failed lately; the first is to be asked first.
    pub(super) fn alive(&self) -> Vec<Arc<Upstream>> {
        self.upstreams.lock().iter().filter(|member| !member.is_left_alone()).cloned().collect()
    }

    /// Leaves a member alone for a while, and has the others asked before it from then on.
    pub(super) fn has_failed(&self, member: &Arc<Upstream>, why: &str) {
        if !member.leave_alone(self.failure_wait) {
            return;
        }
        (self.log)(&format!("{} does not answer: {why}", member.url()));
        let mut upstreams = self.upstreams.lock();
        if let Some(at) = upstreams.iter().position(|known| Arc::ptr_eq(known, member)) {
            let failed = upstreams.remove(at);
            upstreams.push(failed);
        }
        drop(upstreams);
        self.hurry.notify_one();
    }

    /// Asks who the members are, again and again.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut interval = FIRST_INTERVAL.min(self.refresh_interval);
        loop {
            if let Some(urls) = self.ask().await {
                self.adopt(&urls, interval != self.refresh_interval);
                interval = self.refresh_interval;
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.hurry.notified() => {}
            }
        }
    }

    /// What the first member says that says anything; those who have failed are asked, too, at last.
    async fn ask(&self) -> Option<Vec<String>> {
        let mut all = self.upstreams.lock().clone();
        all.sort_by_key(|member| member.is_left_alone());
        for member in all {
            let mut request = Request::new(Full::new(Bytes::new()));
            *request.uri_mut() = axum::http::Uri::from_static("/v2/members");
            let Ok(answer) = member.send(request).await else { continue };
            if answer.status() != StatusCode::OK {
                continue;
            }
            let Ok(body) = Limited::new(answer.into_body(), LIST_BYTES_MAX).collect().await else { continue };
            let urls = client_urls(&body.to_bytes(), self.trust.is_some());
            if !urls.is_empty() {
                return Some(urls);
            }
        }
        None
    }

    /// Goes by `urls` from now on. Those who stay keep their places, so that clients stay with whom they have.
    fn adopt(&self, urls: &[String], is_first: bool) {
        let mut upstreams = self.upstreams.lock();
        let mut known: Vec<_> = upstreams.iter().map(|member| member.url()).collect();
        known.sort_unstable();
        if !is_first && known == urls {
            return;
        }
        (self.log)(&format!("the members are at {}", urls.join(", ")));
        let is_listed = |url: &str| urls.iter().any(|listed| listed == url);
        let (mut staying, _): (Vec<_>, Vec<_>) =
            upstreams.drain(..).partition(|member| is_listed(member.url()));
        let is_new = |url: &&String| staying.iter().all(|member: &Arc<Upstream>| member.url() != *url);
        let new: Vec<_> = urls.iter().filter(is_new).collect();
        staying.extend(new.into_iter().map(|url| self.upstream(url)));
        if is_first {
            // Many proxies are not all to ask the same member.
            let turn = RandomState::new().hash_one(0) % staying.len() as u64;
            staying.rotate_left(turn as usize);
        }
        *upstreams = staying;
    }
}

/// Where the members of a list serve clients, in order; over TLS only if somebody is trusted there.
fn client_urls(list: &[u8], with_tls: bool) -> Vec<String> {
    let list: serde_json::Value = serde_json::from_slice(list).unwrap_or_default();
    let members = list["members"].as_array().into_iter().flatten();
    let urls = members.filter_map(|member| member["clientURLs"].as_array()).flatten();
    let mut urls: Vec<_> =
        urls.filter_map(|url| url.as_str()).filter_map(|url| parse_url(url, with_tls).ok()).collect();
    urls.sort_unstable();
    urls.dedup();
    urls
}

/// The URL of a member, in the one form that it has here.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn parse_url(text: &str, with_tls: bool) -> Result<String, &'static str> {
    let Some((scheme @ ("http" | "https"), rest)) = text.split_once("://") else {
        return Err("should begin with http:// or https://");
    };
    if scheme == "https" && !with_tls {
        return Err("name the authorities to trust for members at https:// with --ca-file");
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() && !authority.contains('/') => {
            Ok(format!("{scheme}://{authority}"))
        }
        _ => Err("should have a host and a port, and no path, as in http://127.0.0.1:2379"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_tell_where_clients_are_served() {
        let list = br#"{"members":[{"id":"1","clientURLs":["http://h:2","http://h:1/"]},
            {"id":"2","clientURLs":["https://s:1","http://h:2"]},{"id":"3","clientURLs":null}]}"#;
        assert_eq!(client_urls(list, false), ["http://h:1", "http://h:2"]);
        assert_eq!(client_urls(list, true), ["http://h:1", "http://h:2", "https://s:1"]);
        assert!(client_urls(b"no list", true).is_empty());
        for text in ["h:1", "ftp://h:1", "http://h", "http://:1", "http://h:1/x", "http://h:x"] {
            assert!(parse_url(text, true).is_err(), "{text}");
        }
        assert!(parse_url("https://h:1", false).is_err());
    }
}
