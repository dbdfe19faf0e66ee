//! `proxy`: the API on a host that has no member, until a signal ends it.

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;

use super::args::{Proxy, named};
use super::failure::Failure;
use super::serve::listen::{self, Url};
use super::serve::plan::{tls, urls};
use super::serve::{cannot_serve, log, runtime, until_signal};
use super::session::Session;
use crate::http::{ProxySettings, Trust, parse_url, run_proxy};

pub(super) fn run(session: &Session, proxy: &Proxy) -> Result<(), Failure> {
    let listen = urls("listen-client-urls", &proxy.listen_client_urls).map_err(Failure::plain)?;
    let settings = settings(session, proxy, &listen)?;
    // The certificate may be for members alone.
    let is_tls = listen.iter().any(Url::is_tls);
    let tls = if is_tls { tls(&proxy.tls, &listen).map_err(Failure::plain)?.0 } else { None };
    let listeners = listen::bind(&listen).map_err(Failure::plain)?;
    let kind = if proxy.readonly { "a proxy that changes nothing" } else { "a proxy" };
    let said: Vec<_> = listeners.iter().map(|it| format!("{kind} serves clients on {}", it.url)).collect();
    let doors = listeners.into_iter().map(|listener| listener.into_parts(tls.as_ref()));
    let doors = doors.collect::<io::Result<Vec<_>>>().map_err(|error| cannot_serve(&error))?;
    said.iter().for_each(|line| log(line));
    runtime(Builder::new_multi_thread())?.block_on(async {
        let served = run_proxy(settings, doors, log, until_signal()?).await;
        served.map_err(|error| cannot_serve(&error))
    })?;
    log("stopped");
    Ok(())
}

fn settings(session: &Session, proxy: &Proxy, listen: &[Url]) -> Result<ProxySettings, Failure> {
    let Some(named) = session.named_endpoints() else {
        return Err(Failure::plain("name members, where they serve clients, with --endpoints"));
    };
    let trust = trust(session, proxy)?;
    let mut endpoints = Vec::new();
    for text in named.split(',').map(str::trim) {
        let url = parse_url(text, trust.is_some());
        let url = url.map_err(|why| Failure::plain(format_args!("--endpoints {text:?}: {why}")))?;
        if listen.iter().any(|own| own.to_string() == url) {
            return Err(Failure::plain(format_args!(
                "--endpoints {url}: the proxy itself serves there; --listen-client-urls chooses another place"
            )));
        }
        endpoints.push(url);
    }
    let &Proxy { readonly, proxy_refresh_interval, proxy_failure_wait, proxy_dial_timeout, .. } = proxy;
    if proxy_refresh_interval == 0 {
        return Err(Failure::plain("--proxy-refresh-interval should be at least 1 ms"));
    }
    Ok(ProxySettings {
        endpoints,
        trust,
        is_read_only: readonly,
        refresh_interval: Duration::from_millis(proxy_refresh_interval),
        failure_wait: Duration::from_millis(proxy_failure_wait),
        dial_timeout: Duration::from_millis(proxy_dial_timeout),
    })
}

/// How members at https:// URLs are spoken to.
fn trust(session: &Session, proxy: &Proxy) -> Result<Option<Trust>, Failure> {
    let Some(authorities) = session.ca_file() else { return Ok(None) };
    let own = match (named(&proxy.tls.cert_file), named(&proxy.tls.key_file)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(Failure::plain("--cert-file needs --key-file")),
        (None, Some(_)) => return Err(Failure::plain("--key-file needs --cert-file")),
    };
    let own = own.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
    let trust = Trust::new(&authorities, own);
    trust.map(Some).map_err(|error| Failure::plain(format_args!("--ca-file: {error}")))
}
