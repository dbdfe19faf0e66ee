//! `proxy`: the API on a host that has no member, until a signal ends it.

use std::time::Duration;

use super::args::Proxy;
use super::failure::Failure;
use super::serve::listen::{self, Listener, Url};
use super::serve::plan::urls;
use super::serve::{log, runtime, until_signal};
use super::session::Session;
use crate::http::{ProxySettings, parse_url, run_proxy};

pub(super) fn run(session: &Session, proxy: &Proxy) -> Result<(), Failure> {
    let listen = urls("listen-client-urls", &proxy.listen_client_urls).map_err(Failure::plain)?;
    if let Some(url) = listen.iter().find(|url| url.is_tls()) {
        return Err(Failure::plain(format_args!("--listen-client-urls {url}: a proxy serves http:// only")));
    }
    let settings = settings(session, proxy, &listen)?;
    let listeners = listen::bind(&listen).map_err(Failure::plain)?;
    let kind = if proxy.readonly { "a proxy that changes nothing" } else { "a proxy" };
    for listener in &listeners {
        log(&format!("{kind} serves clients on {}", listener.url));
    }
    let sockets = listeners.into_iter().map(Listener::into_socket);
    runtime()?.block_on(async {
        let served = run_proxy(settings, sockets, log, until_signal()?).await;
        served.map_err(|error| Failure::plain(format_args!("cannot serve: {error}")))
    })?;
    log("stopped");
    Ok(())
}

fn settings(session: &Session, proxy: &Proxy, listen: &[Url]) -> Result<ProxySettings, Failure> {
    let Some(named) = session.named_endpoints() else {
        return Err(Failure::plain("name members, where they serve clients, with --endpoints"));
    };
    let mut endpoints = Vec::new();
    for text in named.split(',').map(str::trim) {
        let url = parse_url(text);
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
        is_read_only: readonly,
        refresh_interval: Duration::from_millis(proxy_refresh_interval),
        failure_wait: Duration::from_millis(proxy_failure_wait),
        dial_timeout: Duration::from_millis(proxy_dial_timeout),
    })
}
