//! What is served under which path. Everything is read only, and nothing of a request names a file.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::page::PAGE;
use super::{GetQuery, Pages, Refusal, Verdict, openmetrics};

/// So many look into the sink at once, at most.
pub(super) const GETS_AT_ONCE: usize = 2;
/// Who asks what the sink holds is told no after this; the look itself goes on, and counts until it has ended.
const GET_WITHIN: Duration = Duration::from_secs(10);

/// The page is one file, and asks nobody but this server.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

#[derive(Clone)]
struct Served {
    pages: Arc<dyn Pages>,
    gets: Arc<Semaphore>,
}

/// What is served. Where only this machine can ask, it must ask for this machine: a page of somebody else's, in a browser here, does not.
pub(super) fn router(pages: Arc<dyn Pages>, is_loopback: bool) -> Router {
    let served = Served { pages, gets: Arc::new(Semaphore::new(GETS_AT_ONCE)) };
    Router::new()
        .route("/", get(|| async { ([(CONTENT_TYPE, "text/html; charset=utf-8")], PAGE) }))
        .route("/metrics", get(metrics))
        .route("/live", get(|State(served): State<Served>| async move { probe(&served.pages.live()) }))
        .route("/ready", get(|State(served): State<Served>| async move { probe(&served.pages.ready()) }))
        .route("/status", get(status))
        .route("/get", get(get_items))
        .fallback(|| async {
            text(StatusCode::NOT_FOUND, "there are /, /metrics, /live, /ready, /status and /get".to_owned())
        })
        .layer(from_fn_with_state(is_loopback, guard))
        .with_state(served)
}

/// Refuses what asks for another machine, and says in every answer what a browser may do with it.
async fn guard(State(is_loopback): State<bool>, request: Request, next: Next) -> Response {
    let mut response = if is_loopback && !asks_for_this_machine(request.headers()) {
        text(StatusCode::FORBIDDEN, "this is served to this machine alone, as localhost or 127.0.0.1".to_owned())
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// By the host that it names, if it names one: browsers always do.
fn asks_for_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn metrics(State(served): State<Served>) -> Response {
    match served.pages.metrics().text() {
        Ok(text) => ([(CONTENT_TYPE, openmetrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written".to_owned()),
    }
}

async fn status(State(served): State<Served>) -> Response {
    ([(CONTENT_TYPE, JSON)], served.pages.status().to_string()).into_response()
}

async fn get_items(State(served): State<Served>, RawQuery(query): RawQuery) -> Response {
    let query = match GetQuery::parse(query.as_deref().unwrap_or_default()) {
        Ok(query) => query,
        Err(refusal) => return refuse(refusal),
    };
    let Ok(place) = Arc::clone(&served.gets).try_acquire_owned() else {
        return refuse(Refusal::busy("as many as may be are looking into the sink: ask again in a moment"));
    };
    let look = tokio::task::spawn_blocking(move || {
        let answer = served.pages.get(&query);
        drop(place);
        answer
    });
    match timeout(GET_WITHIN, look).await {
        Ok(Ok(Ok(json))) => ([(CONTENT_TYPE, JSON)], json).into_response(),
        Ok(Ok(Err(refusal))) => refuse(refusal),
        Ok(Err(_)) => refuse(Refusal::busy("the sink could not be read")),
        Err(_) => refuse(Refusal::busy("the sink has not answered in time")),
    }
}

fn probe(verdict: &Verdict) -> Response {
    match verdict {
        Ok(()) => text(StatusCode::OK, "ok".to_owned()),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason.clone()),
    }
}

fn refuse(Refusal { status, text: reason }: Refusal) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::json!({ "error": reason }).to_string();
    (status, [(CONTENT_TYPE, JSON)], body).into_response()
}

fn text(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, TEXT)], text + "\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_somebody_else_does_not_ask_for_this_machine() {
        let asks = |host: Option<&str>| {
            let headers = host.map(|host| (HOST, HeaderValue::from_str(host).unwrap()));
            asks_for_this_machine(&headers.into_iter().collect())
        };
        for host in ["localhost", "LOCALHOST:9400", "127.0.0.1", "127.0.0.1:9400", "127.8.9.1:1", "[::1]:9400"] {
            assert!(asks(Some(host)), "{host}");
        }
        assert!(asks(None));
        for host in ["evil.example:9400", "localhost.evil.example", "10.0.0.1", "[::2]", "", "127.0.0.1.evil.example"] {
            assert!(!asks(Some(host)), "{host}");
        }
    }
}
