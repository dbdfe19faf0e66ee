//! What stands beside the keys: the version, the health, the members, the statistics.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use tokio::time::timeout;

use super::front::Front;
use super::json;
use super::membership::Membership;
use super::moment;
use super::respond::{self, Answer};
use crate::types::Timestamp;

/// The version of etcd whose API this is, as clients ask for it.
const VERSION: &str = r#"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#;

/// How long a member that is well may take to hear from its leader.
const HEALTH_PATIENCE: Duration = Duration::from_secs(1);

impl Front {
    pub(super) fn version(&self) -> Answer {
        respond::json(StatusCode::OK, VERSION)
    }

    /// Whether this member can serve: alone, that nothing is wrong with it; in a cluster, that a leader answers it soon.
    pub(super) async fn health(&self) -> Answer {
        let is_well = match self.store().latest() {
            None => self.status().await.problems.is_empty(),
            Some(latest) => matches!(timeout(HEALTH_PATIENCE, latest).await, Ok(Ok(()))),
        };
        if is_well {
            respond::text(StatusCode::OK, r#"{"health":"true"}"#)
        } else {
            respond::error_text(StatusCode::SERVICE_UNAVAILABLE, "{\"health\":\"false\"}\n")
        }
    }

    /// The URLs that clients may use.
    pub(super) fn machines(&self) -> Answer {
        let members = self.membership().members;
        let mut urls: Vec<_> = members.into_iter().flat_map(|member| member.client_urls).collect();
        urls.sort_unstable();
        respond::text(StatusCode::OK, urls.join(", "))
    }

    pub(super) fn stats_store(&self) -> Answer {
        respond::json(StatusCode::OK, self.stats().body(self.store()))
    }

    /// This member, and how many messages with entries it has sent and received.
    pub(super) fn stats_self(&self) -> Answer {
        let (me, Membership { members, leader, leader_for }) = (self.member_id(), self.membership());
        let name = members.iter().find(|member| member.id == me).map_or("", |member| member.name.as_str());
        let state = if leader == Some(me) { "StateLeader" } else { "StateFollower" };
        let leader = leader.map_or_else(|| "0".to_owned(), |leader| leader.to_string());
        let mut out = b"{\"name\":".to_vec();
        json::string(&mut out, name.as_bytes());
        out.extend_from_slice(format!(",\"id\":\"{me}\",\"state\":\"{state}\",\"startTime\":\"").as_bytes());
        moment::rfc3339(&mut out, self.started());
        out.extend_from_slice(format!("\",\"leaderInfo\":{{\"leader\":\"{leader}\"").as_bytes());
        let now = self.store().now();
        let uptime = leader_for.unwrap_or_else(|| now.since(self.started()));
        let since =
            Timestamp::new(now.get().saturating_sub(u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX)));
        let uptime = go_duration(uptime);
        out.extend_from_slice(format!(",\"uptime\":\"{uptime}\",\"startTime\":\"").as_bytes());
        moment::rfc3339(&mut out, since);
        out.extend_from_slice(b"\"},");
        self.traffic().tell(&mut out);
        out.push(b'}');
        respond::json(StatusCode::OK, out)
    }

    /// Who follows, and how long each takes: only the leader knows.
    pub(super) fn stats_leader(&self) -> Answer {
        let (me, Membership { members, leader, .. }) = (self.member_id(), self.membership());
        if leader != Some(me) {
            return respond::message(StatusCode::FORBIDDEN, "not current leader");
        }
        let traffic = self.traffic();
        let followers = members.iter().filter(|member| member.id != me);
        let followers = followers.map(|member| format!("\"{}\":{}", member.id, traffic.follower(member.id)));
        let followers = followers.collect::<Vec<_>>().join(",");
        respond::json(StatusCode::OK, format!("{{\"leader\":\"{me}\",\"followers\":{{{followers}}}}}"))
    }

    /// Answers what stands beside the keys. Whoever asks for the metrics may do so in any way, as with etcd.
    pub(super) async fn other(&self, method: &Method, path: &[u8]) -> Answer {
        let allowed = match path {
            b"/v2/machines" => "GET,HEAD",
            b"/v2/stats/self" | b"/v2/stats/store" | b"/v2/stats/leader" => "GET",
            b"/version" | b"/health" => "GET",
            b"/metrics" => return self.metrics().await,
            _ => return respond::not_found(),
        };
        if let Some(answer) = respond::unless_allowed(method, allowed) {
            return answer;
        }
        match path {
            b"/v2/machines" => self.machines(),
            b"/v2/stats/self" => self.stats_self(),
            b"/v2/stats/store" => self.stats_store(),
            b"/v2/stats/leader" => self.stats_leader(),
            b"/version" => self.version(),
            _ => self.health().await,
        }
    }
}

/// A duration as Go writes it, such as `1m2.3s`.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let (seconds, fraction) = (millis / 1000, millis % 1000);
    if seconds == 0 {
        return if fraction == 0 { "0s".to_owned() } else { format!("{fraction}ms") };
    }
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:03}") };
    let rest = format!("{}{}s", seconds % 60, fraction.trim_end_matches('0'));
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => rest,
        (0, minutes) => format!("{minutes}m{rest}"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        for (millis, written) in [
            (0, "0s"),
            (7, "7ms"),
            (1000, "1s"),
            (2300, "2.3s"),
            (62_345, "1m2.345s"),
            (3_600_000, "1h0m0s"),
            (90_061_010, "25h1m1.01s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), written);
        }
    }
}
