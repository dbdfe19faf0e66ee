//! `/metrics`: how the store and its server are doing, in Prometheus' text form.

use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use prometheus::{Encoder, Gauge, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::front::Front;
use super::respond::Answer;
use crate::store::Status;

/// What is counted as requests are answered. What the store knows by itself is asked for when somebody looks.
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let requests = Opts::new("spinney_http_requests_total", "Requests answered, by method and status.");
        let requests = IntCounterVec::new(requests, &["method", "code"]).expect("the name is in form");
        registry.register(Box::new(requests.clone())).expect("nothing else has the name");
        Self { registry, requests }
    }

    pub(super) fn count(&self, method: &Method, status: StatusCode) {
        // Clients may make methods up; they may not make counters up.
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "PUT" | "POST" | "DELETE" | "OPTIONS") => known,
            _ => "other",
        };
        self.requests.with_label_values(&[method, status.as_str()]).inc();
    }

    /// Everything that was counted, and these facts, each with its help.
    pub(super) fn answer(&self, facts: &[(&str, &str, f64)]) -> Answer {
        let mut answer = Response::new(self.text(facts).into());
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, text);
        answer
    }

    /// Everything that was counted and everything that is, as text.
    fn text(&self, facts: &[(&str, &str, f64)]) -> Vec<u8> {
        let present = Registry::new();
        for (name, help, value) in facts {
            let gauge = Gauge::new(*name, *help).expect("the name is in form");
            gauge.set(*value);
            present.register(Box::new(gauge)).expect("each name is used once");
        }
        let up = IntGauge::new("spinney_info", "Always 1.").expect("the name is in form");
        up.set(1);
        present.register(Box::new(up)).expect("each name is used once");
        let mut text = Vec::new();
        let mut families = self.registry.gather();
        families.extend(present.gather());
        TextEncoder::new().encode(&families, &mut text).expect("a vector takes everything");
        text
    }
}

impl Front {
    /// The state of the store; asked for off the threads that serve everybody, since it may wait for a sync.
    pub(super) async fn status(&self) -> Status {
        let store = self.store().clone();
        let status = tokio::task::spawn_blocking(move || store.status()).await;
        status.expect("asking does not panic, and nobody cancels it")
    }

    pub(super) async fn metrics(&self) -> Answer {
        let status = self.status().await;
        let (applied, term) = self.store().position();
        let number = |number: usize| number as f64;
        let mut facts = vec![
            ("spinney_index", "The index of the newest change.", status.index.get() as f64),
            ("spinney_files", "Keys that have a value.", number(status.files)),
            ("spinney_ttl_keys", "Keys that expire.", number(status.timers)),
            ("spinney_tree_bytes", "Memory that keys and values take, roughly.", number(status.tree_bytes)),
            (
                "spinney_expired",
                "Keys that have expired since the store was opened.",
                self.store().expired() as f64,
            ),
            ("spinney_watchers", "Watches that wait.", number(status.watches.watchers)),
            ("spinney_watchers_lagging", "Watches that have fallen behind.", number(status.watches.lagging)),
            ("spinney_resyncs", "Watches that were told of a gap so far.", status.watches.resyncs as f64),
            ("spinney_writes_waiting", "Writes that wait for their turn.", number(status.waiting)),
            ("spinney_problems", "What is wrong with the store, counted.", number(status.problems.len())),
            ("spinney_applied_index", "How far the log has been applied.", applied.get() as f64),
            ("spinney_term", "The term of what was applied last.", term.get() as f64),
        ];
        if let Some(log) = &status.log {
            facts.push(("spinney_log_bytes", "What the log takes on disk.", log.bytes as f64));
            facts.push(("spinney_saved_index", "How far the newest snapshot goes.", log.saved.get() as f64));
        }
        if let Some((callers, nonsense)) = self.turned_away() {
            let help = "Callers at the members' port that were turned away.";
            facts.push(("spinney_peers_turned_away", help, callers as f64));
            let help = "Frames and messages of members that made no sense.";
            facts.push(("spinney_peers_nonsense", help, nonsense as f64));
        }
        self.counters().answer(&facts)
    }
}
